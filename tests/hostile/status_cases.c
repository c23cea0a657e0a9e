/*
 * status_cases.c - the status register out of order, features that are not offered or come too
 * late, resets at any time.
 *
 * Source: VIRTIO 1.2: 2.1 status, 2.2 features, 2.4 reset, 3.1.1 the order of initialisation.
 */
#include "hostile.h"

#define FEATURES 0xf0 /* in a sequence: not a status, VERSION_1 is accepted now */

/* The device's side of 2.1.1 and 3.1.1: a step that is out of order is not taken. */
static const struct {
	const char *name;
	uint8_t writes[8]; /* up to the first 0 behind the first one */
	uint8_t expected;
} sequences[] = {
	{ "driver-before-acknowledge", { 2 }, 0 },
	{ "driver-ok-first", { 4 }, 0 },
	{ "features-ok-first", { 8 }, 0 },
	{ "needs-reset-first", { 0x40 }, 0 },
	{ "driver-ok-before-driver", { 1, 5 }, 1 },
	{ "features-ok-before-driver", { 1, 9 }, 1 },
	{ "driver-ok-before-features-ok", { 1, 3, 7 }, 3 },
	{ "driver-ok-without-features", { 1, 3, 15 }, 3 },
	{ "features-ok-without-features", { 1, 3, 11 }, 3 },
	{ "acknowledge-taken-back", { 1, 3, 2 }, 3 },
	{ "driver-taken-back", { 1, 3, 1 }, 3 },
	{ "features-ok-taken-back", { 1, 3, FEATURES, 11, 3 }, 11 },
	{ "driver-ok-taken-back", { 1, 3, FEATURES, 11, 15, 11 }, 15 },
	{ "all-taken-back-but-driver-ok", { 1, 3, FEATURES, 11, 15, 4 }, 15 },
	{ "needs-reset-by-the-driver", { 1, 3, 0x43 }, 3 },
	{ "reserved-bits", { 1, 0x31 }, 1 },
	{ "failed", { 1, 0x81 }, 0x81 },
	{ "failed-taken-back", { 1, 0x81, 1 }, 0x81 },
	{ "driver-ok-twice", { 1, 3, FEATURES, 11, 15, 15 }, 15 },
};

static void play(const struct dev *d, const uint8_t *writes)
{
	reset(d);
	for (unsigned int i = 0; i < 8 && writes[i]; i++) {
		if (writes[i] == FEATURES)
			set_features(d, F_VERSION_1);
		else
			reg_set(d, DEVICE_STATUS, writes[i]);
	}
}

static void sequence_cases(const struct dev *d)
{
	for (unsigned int i = 0; i < N_ELEMENTS(sequences); i++) {
		case_begin("R3", d, "status.", sequences[i].name, "",
			   is_n(STATUS, sequences[i].expected));
		play(d, sequences[i].writes);
		case_end(d, is_n(STATUS, status(d)));
	}
}

/* From every state, to pristine: nothing of what was negotiated is left. */
static void reset_cases(const struct dev *d)
{
	static const uint8_t states[][8] = {
		{ 1 }, { 1, 3 }, { 1, 3, FEATURES, 11 }, { 1, 3, FEATURES, 11, 15 }, { 1, 0x81 },
	};
	static const char *const names[] = { "acknowledge", "driver", "features-ok", "driver-ok",
					     "failed" };

	for (unsigned int i = 0; i < N_ELEMENTS(states); i++) {
		uint32_t features = 0, enabled;

		case_begin("R3", d, "status.reset-in-", names[i], "", is_n(STATUS, 0));
		play(d, states[i]);
		reg_set(d, QUEUE_SELECT, 0);
		reg_set(d, QUEUE_ENABLE, 1);
		reset(d);
		if (d->pci) {
			reg_set(d, DRIVER_FEATURE_SELECT, 1);
			features = reg_get(d, DRIVER_FEATURE);
		}
		reg_set(d, QUEUE_SELECT, 0);
		enabled = reg_get(d, QUEUE_ENABLE);
		case_end(d, features || enabled ? is(WRONG) : is_n(STATUS, status(d)));
	}
}

/* Features
 * ----------------------------------------------------------------------------------------- */

static struct outcome try_features(const struct dev *d, uint64_t features)
{
	return is(negotiate(d, features) ? KEPT : REFUSED);
}

/* 2.2.2: FEATURES_OK for a subset of what is offered only. */
static void feature_cases(const struct dev *d)
{
	const uint64_t all = offered(d) | F_VERSION_1;

	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(all & BIT(bit)) || bit == 32)
			continue;
		case_begin("spec", d, "features.offered-bit-", decimal(bit), "", is(KEPT));
		case_end(d, try_features(d, F_VERSION_1 | BIT(bit)));
	}
	for (unsigned int low = 0; low < 64; low += 8) {
		bool kept = false;

		case_begin("spec", d, "features.not-offered-from-bit-", decimal(low), "",
			   is(REFUSED));
		for (unsigned int bit = low; bit < low + 8; bit++) {
			if (!(all & BIT(bit)) && negotiate(d, F_VERSION_1 | BIT(bit)))
				kept = true;
		}
		case_end(d, is(kept ? KEPT : REFUSED));
	}
	case_begin("spec", d, "features.none", "", "", is(REFUSED));
	case_end(d, try_features(d, 0));
	case_begin("spec", d, "features.all-but-version-1", "", "", is(REFUSED));
	case_end(d, try_features(d, all & ~F_VERSION_1));
	case_begin("spec", d, "features.all-ones", "", "", is(REFUSED));
	case_end(d, try_features(d, UINT64_MAX));
}

/* 2.2.1: not after FEATURES_OK. */
static void late_feature_cases(const struct dev *d)
{
	static struct session s;

	case_begin("R3", d, "features.changed-after-features-ok", "", "", is(IGNORED));
	negotiate(d, F_VERSION_1);
	set_features(d, UINT64_MAX);
	if (d->pci && reg_get(d, DRIVER_FEATURE) != 1) {
		case_end(d, is(KEPT));
	} else {
		reg_set(d, DEVICE_STATUS, S_RUNNING);
		case_end(d, is(status(d) == S_RUNNING ? IGNORED : WRONG));
	}
	case_begin("R3", d, "features.changed-after-driver-ok", "", "", is(IGNORED));
	session_start(&s, d, 0, 8);
	set_features(d, UINT64_MAX);
	case_end(d, is(session_works(&s) ? IGNORED : WRONG));
}

static void select_cases(const struct dev *d)
{
	static const uint32_t words[] = { 2, 3, 31, 0x7fffffff, 0x80000000, 0xffffffff };

	for (unsigned int i = 0; i < N_ELEMENTS(words); i++) {
		uint32_t bits;

		case_begin("R8", d, "features.select-", decimal(words[i]), "", is(REFUSED));
		negotiate(d, F_VERSION_1);
		reg_set(d, DEVICE_FEATURE_SELECT, words[i]);
		bits = reg_get(d, DEVICE_FEATURE); /* 4.1.4.3: 0 */
		reset(d);
		reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE);
		reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE | S_DRIVER);
		set_features(d, F_VERSION_1);
		reg_set(d, DRIVER_FEATURE_SELECT, words[i]);
		reg_set(d, DRIVER_FEATURE, UINT32_MAX); /* goes nowhere */
		reg_set(d, DEVICE_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
		case_end(d, is(bits == 0 && status(d) & S_FEATURES_OK ? REFUSED : KEPT));
	}
}

/* Resets
 * ------------------------------------------------------------------------------------------- */

static void no_queue_case(const struct dev *d)
{
	case_begin("R3", d, "status.driver-ok-with-no-queue", "", "", is_n(STATUS, S_RUNNING));
	negotiate(d, F_VERSION_1);
	driver_ok(d);
	for (unsigned int q = 0; q < d->n_queues; q++)
		kick(d, q);
	case_end(d, is_n(STATUS, status(d)));
}

static void storm_cases(const struct dev *d)
{
	static struct session s;
	static struct trial x;

	case_begin("R15", d, "reset.storm", "", "", is_n(STATUS, 0));
	for (unsigned int i = 0; i < 300; i++)
		reg_set(d, DEVICE_STATUS, 0);
	case_end(d, is_n(STATUS, status(d)));

	case_begin("R15", d, "reset.storm-with-queues", "", "", is_n(STATUS, 0));
	for (unsigned int i = 0; i < 20; i++)
		session_start(&s, d, 0, 8);
	reset(d);
	case_end(d, is_n(STATUS, status(d)));

	for (unsigned int i = 0; i < n_targets; i++) {
		if (targets[i].id != d->id)
			continue;
		case_begin("R15", d, targets[i].name, "reset-while-served", "", is_n(STATUS, 0));
		for (unsigned int n = 0; n < 20; n++) {
			trial_prepare(&x, d, &targets[i], 0);
			trial_run(&x, 8);
			reg_set(d, DEVICE_STATUS, 0);
		}
		reset(d);
		case_end(d, is_n(STATUS, status(d)));
	}
}

void status_cases(const struct dev *d)
{
	sequence_cases(d);
	reset_cases(d);
	feature_cases(d);
	late_feature_cases(d);
	select_cases(d);
	no_queue_case(d);
	storm_cases(d);
}
