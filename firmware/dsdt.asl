/*
 * dsdt.asl - what the guest is told about the chips that no bus can enumerate.
 *
 * Compiled by iasl at build time and embedded into the VMM; arch/x86_64/acpi.c puts the result into
 * guest RAM beside the tables that it builds itself (FADT, MADT, ...). The platform is hardware-reduced
 * (ACPI 6.4, 4.1): no PM timer, no SCI, no fixed events; all events come by the Generic Event Device.
 *
 * Each number here is also a constant of a device: COM1 include/vmm/dev/uart16550.h, RTC rtc_cmos.h,
 * PANC pvpanic.h, ports 0x600 to 0x603 and interrupt 9 acpi_pm.h, port 0xf4 exitport.h.
 */
DefinitionBlock ("", "DSDT", 2, "VMM   ", "VMMDSDT ", 0x00000001)
{
    /* Soft off: the value for SLP_TYP in the sleep control register (ACPI 6.4, 7.4.2). */
    Name (_S5, Package () { 0x05, 0x00, 0x00, 0x00 })

    Scope (\_SB)
    {
        /* The serial port. An extended interrupt descriptor: no 8259 is promised. */
        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 0x00, 0x08)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
            })
        }

        /* The CMOS clock. No interrupt: it tells the time and sets no alarms. */
        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 0x00, 0x02)
            })
        }

        /* Where a kernel says that it has panicked (QEMU docs/specs/pvpanic). */
        Device (PANC)
        {
            Name (_HID, "QEMU0001")
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0505, 0x0505, 0x00, 0x01)
            })
        }

        /* The power button has no registers of its own: GED below speaks for it. */
        Device (PWRB)
        {
            Name (_HID, EisaId ("PNP0C0C"))
        }

        /*
         * The Generic Event Device (ACPI 6.4, 5.6.9). The interrupt is a level that stays up until
         * the event byte is read; reading clears it.
         */
        Device (GED)
        {
            Name (_HID, "ACPI0013")
            Name (_CRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 9 }
            })

            OperationRegion (EVTR, SystemIO, 0x0603, 0x01)
            Field (EVTR, ByteAcc, NoLock, WriteAsZeros)
            {
                EVTS, 8
            }

            Method (_EVT, 1, Serialized)
            {
                Local0 = EVTS
                If ((Local0 & 0x01) != 0)
                {
                    Notify (PWRB, 0x80) /* pressed (ACPI 6.4, 4.8.2.2.1.2 and 5.6.6) */
                }
            }
        }

        /* Ports that belong to no device above, so that nothing else is put there. */
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x00F4, 0x00F4, 0x00, 0x01)
                IO (Decode16, 0x0600, 0x0600, 0x00, 0x04)
            })
        }
    }
}
