/*
 * rtc_cmos.c - the CMOS clock and its few bytes of memory.
 *
 * Life of a VM: built while the machine is assembled. Read by vCPU threads once or twice when a
 * guest boots and has no better clock; written when a guest sets its clock at shutdown.
 *
 * Specification: Motorola MC146818A data sheet, "Address map" and "Registers"; the index and data
 * ports, and the century in byte 0x32, are the PC's.
 *
 * No clock runs in here: the time is the host's UTC plus an offset, which is 0 until the guest sets
 * the clock. Nothing ever interrupts, so that alarm and periodic rate are mere memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <vmm/base/civil.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/rtc_cmos.h>

#define INDEX_PORT 0
#define DATA_PORT 1
#define N_PORTS 2
#define INDEX_MASK 0x7fu /* bit 7 of the index masks NMI on a PC: there is none to mask */
#define N_BYTES 128

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8, YEAR = 9 };
enum { REG_A = 0x0a, REG_B = 0x0b, REG_C = 0x0c, REG_D = 0x0d, CENTURY = 0x32 };

#define A_UIP 0x80u /* an update is in progress: never seen here */
#define A_DEFAULT 0x26u /* 32768 Hz time base, 1024 Hz periodic rate: what every BIOS sets */
#define B_SET 0x80u /* the guest is writing the time: no updates */
#define B_DM 0x04u /* binary, not BCD */
#define B_24H 0x02u
#define D_VRT 0x80u /* the battery is good */
#define HOURS_PM 0x80u /* in 12-hour mode */

struct rtc {
	struct device dev;
	struct bus *pio;

	pthread_mutex_t lock; /* guards what follows */
	uint8_t index;
	int64_t offset_s; /* the guest's time minus the host's */
	/*
	 * By register number. The time registers are filled in from the clock before each access,
	 * except while B_SET holds them still.
	 */
	uint8_t bytes[N_BYTES];
};

/* Numbers as register B says: BCD or binary, 24 or 12 hours --------------------------------- */

static uint8_t encode(const struct rtc *r, int n)
{
	return (uint8_t)(r->bytes[REG_B] & B_DM ? n : n / 10 << 4 | n % 10);
}

/* -1: not a number that the register may hold. */
static int decode(const struct rtc *r, uint8_t val, int min, int max)
{
	int n = val;

	if (!(r->bytes[REG_B] & B_DM)) {
		if ((val & 0xf) > 9 || val >> 4 > 9)
			return -1;
		n = (val >> 4) * 10 + (val & 0xf);
	}
	return n >= min && n <= max ? n : -1;
}

static uint8_t encode_hours(const struct rtc *r, int hours)
{
	if (r->bytes[REG_B] & B_24H)
		return encode(r, hours);
	return encode(r, hours % 12 == 0 ? 12 : hours % 12) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *r, uint8_t val)
{
	int hours;

	if (r->bytes[REG_B] & B_24H)
		return decode(r, val, 0, 23);
	hours = decode(r, val & (uint8_t)~HOURS_PM, 1, 12);
	if (hours < 0)
		return -1;
	return hours % 12 + (val & HOURS_PM ? 12 : 0);
}

/* The clock ----------------------------------------------------------------------------------- */

static bool is_time(unsigned int reg)
{
	return reg == SECONDS || reg == MINUTES || reg == HOURS ||
	       (reg >= WEEKDAY && reg <= YEAR) || reg == CENTURY;
}

/* The time registers as they stand at this moment. */
static void registers_from_clock(struct rtc *r)
{
	struct civil c;
	int year;

	civil_from_seconds(&c, time(NULL) + r->offset_s);
	year = (int)((c.year % 10000 + 10000) % 10000); /* whatever the host says */
	r->bytes[SECONDS] = encode(r, c.second);
	r->bytes[MINUTES] = encode(r, c.minute);
	r->bytes[HOURS] = encode_hours(r, c.hour);
	r->bytes[WEEKDAY] = encode(r, c.weekday + 1); /* Sunday is 1 */
	r->bytes[DAY] = encode(r, c.day);
	r->bytes[MONTH] = encode(r, c.month);
	r->bytes[YEAR] = encode(r, year % 100);
	r->bytes[CENTURY] = encode(r, year / 100);
}

/*
 * Sets the clock to what the registers say, if that is a time at all; if not, the clock goes on as
 * it was. Four digits of a year bound the offset. The weekday follows from the date.
 */
static void clock_from_registers(struct rtc *r)
{
	int century = decode(r, r->bytes[CENTURY], 0, 99);
	int year = decode(r, r->bytes[YEAR], 0, 99);
	const struct civil c = {
		.year = century * 100 + year,
		.month = decode(r, r->bytes[MONTH], 1, 12),
		.day = decode(r, r->bytes[DAY], 1, 31),
		.hour = decode_hours(r, r->bytes[HOURS]),
		.minute = decode(r, r->bytes[MINUTES], 0, 59),
		.second = decode(r, r->bytes[SECONDS], 0, 59),
	};

	if (century < 0 || year < 0 || c.month < 0 || c.day < 0 || c.hour < 0 || c.minute < 0 ||
	    c.second < 0)
		return;
	r->offset_s = civil_to_seconds(&c) - time(NULL);
}

/* The ports ----------------------------------------------------------------------------------- */

static uint8_t register_read(struct rtc *r, unsigned int reg)
{
	/* REG_C, the interrupt flags, always reads 0, as nothing ever interrupts. */
	if (is_time(reg) && !(r->bytes[REG_B] & B_SET))
		registers_from_clock(r);
	return r->bytes[reg];
}

static void reg_b_write(struct rtc *r, uint8_t val)
{
	uint8_t old = r->bytes[REG_B];

	/* The formats count from this write on, also for the time that SET begins or ends with. */
	r->bytes[REG_B] = val;
	if (!(old & B_SET) && val & B_SET)
		registers_from_clock(r); /* they stand still from now on */
	else if (old & B_SET && !(val & B_SET))
		clock_from_registers(r);
}

static void register_write(struct rtc *r, unsigned int reg, uint8_t val)
{
	bool set = r->bytes[REG_B] & B_SET;

	switch (reg) {
	case REG_A:
		r->bytes[REG_A] = val & (uint8_t)~A_UIP;
		return;
	case REG_B:
		reg_b_write(r, val);
		return;
	case REG_C:
	case REG_D:
		return; /* read-only */
	default:
		break;
	}
	if (is_time(reg) && !set)
		registers_from_clock(r);
	r->bytes[reg] = val;
	if (is_time(reg) && !set)
		clock_from_registers(r);
}

static uint64_t rtc_read(void *p, uint64_t off, unsigned int size)
{
	struct rtc *r = p;
	uint8_t val;

	(void)size; /* always 1 */
	if (off == INDEX_PORT)
		return 0xff; /* write-only */
	pthread_mutex_lock(&r->lock);
	val = register_read(r, r->index);
	pthread_mutex_unlock(&r->lock);
	return val;
}

static void rtc_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct rtc *r = p;

	(void)size; /* always 1 */
	pthread_mutex_lock(&r->lock);
	if (off == INDEX_PORT)
		r->index = (uint8_t)val & INDEX_MASK;
	else
		register_write(r, r->index, (uint8_t)val);
	pthread_mutex_unlock(&r->lock);
}

static const struct bus_ops rtc_bus_ops = {
	.name = "rtc-cmos",
	.max_size = 1,
	.read = rtc_read,
	.write = rtc_write,
};

/* The machine's side ------------------------------------------------------------------------ */

/* The battery outlives a reset: time, memory and formats stay ("RESET" in the data sheet). */
static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	pthread_mutex_lock(&r->lock);
	r->index = 0;
	reg_b_write(r, r->bytes[REG_B] & (B_DM | B_24H));
	pthread_mutex_unlock(&r->lock);
}

static void rtc_destroy(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	bus_unmap(r->pio, RTC_CMOS_BASE);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct device_ops rtc_ops = {
	.type = "rtc-cmos",
	.reset = rtc_reset,
	.destroy = rtc_destroy,
};

int rtc_cmos_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, -ENOMEM, "rtc-cmos: out of memory");
	*r = (struct rtc){
		.dev.ops = &rtc_ops,
		.pio = env->pio,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.bytes = { [REG_A] = A_DEFAULT, [REG_B] = B_24H, [REG_D] = D_VRT },
	};
	if (bus_map(r->pio, RTC_CMOS_BASE, N_PORTS, &rtc_bus_ops, r, e) < 0) {
		free(r);
		return err_wrap(e, "rtc-cmos");
	}
	*out = &r->dev;
	return 0;
}
