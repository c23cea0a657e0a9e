#include "cli.h"
const struct opt doctor_options[] = { { 0 } };
int cmd_doctor(int argc, char *const *argv, struct err *e)
{
	(void)argc;(void)argv;(void)e;
	return 0;
}
