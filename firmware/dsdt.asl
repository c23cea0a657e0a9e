/*
 * dsdt.asl - what the guest is told about the chips that no bus can enumerate.
 *
 * Compiled by iasl at build time and embedded into the VMM; arch/x86_64/acpi.c puts the result into
 * guest RAM beside the tables that it builds itself (FADT, MADT, ...), and what differs from machine to machine
 * where BRDI below reads it. The platform is hardware-reduced
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
        /* struct board_info of arch/x86_64/acpi.c: MAP_BOARD_INFO in memmap.h is where. */
        OperationRegion (BRDI, SystemMemory, 0x000FF000, 0x40)
        Field (BRDI, DWordAcc, NoLock, Preserve)
        {
            P32B, 32, /* PCI window below 4 GiB: base, length */
            P32L, 32,
            ECMB, 32, /* ECAM */
            ECML, 32,
            P64B, 64, /* PCI window above RAM */
            P64L, 64,
            VIOB, 32, /* virtio-mmio: slot 0, bytes from one to the next */
            VIOS, 32,
            VIOP, 32, /* bit n: there is a device in slot n */
            Offset (0x30),
            VIOI, 128, /* a byte for each slot: its interrupt */
        }

        /*
         * The PCI host bridge (PCI Firmware 3.2, 4.1.1 and 4.5.1). No _PRT: no function has an interrupt pin. No
         * _CBA: MCFG says where the configuration space is.
         */
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)

            Name (WIND, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, , , P32)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
                    0x0000000000000000, , , P64)
            })

            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (WIND, ^P32._MIN, LMIN)
                CreateDWordField (WIND, ^P32._MAX, LMAX)
                CreateDWordField (WIND, ^P32._LEN, LLEN)
                CreateQWordField (WIND, ^P64._MIN, HMIN)
                CreateQWordField (WIND, ^P64._MAX, HMAX)
                CreateQWordField (WIND, ^P64._LEN, HLEN)
                LMIN = P32B
                LLEN = P32L
                LMAX = P32B + P32L - 1
                HMIN = P64B
                HLEN = P64L
                HMAX = P64B + P64L - 1
                Return (WIND)
            }

            /*
             * ACPI 6.4, 6.2.11.3. Of what a kernel may ask to control, there is one thing: PCI Express capabilities
             * (bit 4), which nobody but the kernel would touch. No hot plug, no power management events, no errors.
             */
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (Arg0 != ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766"))
                {
                    CDW1 |= 0x04 /* unrecognised UUID */
                    Return (Arg3)
                }
                CreateDWordField (Arg3, 8, CDW3)
                If (Arg1 != 1)
                {
                    CDW1 |= 0x08 /* unrecognised revision */
                }
                If ((CDW3 & ~0x10) != 0)
                {
                    CDW1 |= 0x10 /* some of it is masked */
                    CDW3 &= 0x10
                }
                Return (Arg3)
            }
        }

        /* PCI's configuration space in memory belongs to the board, not to the bus (PCI Firmware 3.2, 4.1.2). */
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, "ECAM")

            Name (RES, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0x00000000, 0x00000000, REGS)
            })

            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (RES, ^REGS._BAS, BASE)
                CreateDWordField (RES, ^REGS._LEN, SIZE)
                BASE = ECMB
                SIZE = ECML
                Return (RES)
            }
        }

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
            Name (_UID, "PORT")
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x00F4, 0x00F4, 0x00, 0x01)
                IO (Decode16, 0x0600, 0x0600, 0x00, 0x04)
            })
        }

        /* virtio-mmio (LNRO0005 is what Linux knows it by): a socket each, of which most are empty. */
        Method (VSTA, 1)
        {
            If (((VIOP >> Arg0) & 1) != 0)
            {
                Return (0x0F)
            }
            Return (0)
        }

        Name (VRES, ResourceTemplate ()
        {
            Memory32Fixed (ReadWrite, 0x00000000, 0x00000000, REGS)
            Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, , , LINE) { 0 }
        })

        Method (VCRS, 1, Serialized)
        {
            CreateDWordField (VRES, ^REGS._BAS, BASE)
            CreateDWordField (VRES, ^REGS._LEN, SIZE)
            CreateDWordField (VRES, ^LINE._INT, GSI)
            Local0 = VIOI
            BASE = VIOB + Arg0 * VIOS
            SIZE = VIOS
            GSI = DerefOf (Local0 [Arg0])
            Return (VRES)
        }

        Device (VM00)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 0)
            Method (_STA) { Return (VSTA (0)) }
            Method (_CRS) { Return (VCRS (0)) }
        }

        Device (VM01)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 1)
            Method (_STA) { Return (VSTA (1)) }
            Method (_CRS) { Return (VCRS (1)) }
        }

        Device (VM02)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 2)
            Method (_STA) { Return (VSTA (2)) }
            Method (_CRS) { Return (VCRS (2)) }
        }

        Device (VM03)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 3)
            Method (_STA) { Return (VSTA (3)) }
            Method (_CRS) { Return (VCRS (3)) }
        }

        Device (VM04)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 4)
            Method (_STA) { Return (VSTA (4)) }
            Method (_CRS) { Return (VCRS (4)) }
        }

        Device (VM05)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 5)
            Method (_STA) { Return (VSTA (5)) }
            Method (_CRS) { Return (VCRS (5)) }
        }

        Device (VM06)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 6)
            Method (_STA) { Return (VSTA (6)) }
            Method (_CRS) { Return (VCRS (6)) }
        }

        Device (VM07)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 7)
            Method (_STA) { Return (VSTA (7)) }
            Method (_CRS) { Return (VCRS (7)) }
        }

        Device (VM08)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 8)
            Method (_STA) { Return (VSTA (8)) }
            Method (_CRS) { Return (VCRS (8)) }
        }

        Device (VM09)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 9)
            Method (_STA) { Return (VSTA (9)) }
            Method (_CRS) { Return (VCRS (9)) }
        }

        Device (VM10)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 10)
            Method (_STA) { Return (VSTA (10)) }
            Method (_CRS) { Return (VCRS (10)) }
        }

        Device (VM11)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 11)
            Method (_STA) { Return (VSTA (11)) }
            Method (_CRS) { Return (VCRS (11)) }
        }

        Device (VM12)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 12)
            Method (_STA) { Return (VSTA (12)) }
            Method (_CRS) { Return (VCRS (12)) }
        }

        Device (VM13)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 13)
            Method (_STA) { Return (VSTA (13)) }
            Method (_CRS) { Return (VCRS (13)) }
        }

        Device (VM14)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 14)
            Method (_STA) { Return (VSTA (14)) }
            Method (_CRS) { Return (VCRS (14)) }
        }

        Device (VM15)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 15)
            Method (_STA) { Return (VSTA (15)) }
            Method (_CRS) { Return (VCRS (15)) }
        }
    }
}
