/*
 * disk_spec.h - what the user says about one disk: the value of --disk.
 *
 *     PATH[,ro][,snapshot][,direct][,format=raw][,id=ID][,queues=N][,engine=uring|threads]
 *         [,bps=SIZE[,burst=SIZE]][,iops=N[,iops-burst=N]]
 *
 * A comma that belongs to a path or a value is written twice: "a,,b.img" is the file "a,b.img".
 * Main thread, before anything is built.
 */
#ifndef VMM_BLOCK_DISK_SPEC_H
#define VMM_BLOCK_DISK_SPEC_H
#include <stdbool.h>
#include <vmm/base/err.h>
#include <vmm/host/rate.h>

#define DISK_ID_MAX 20u /* VIRTIO_BLK_ID_BYTES */
#define DISK_MAX_QUEUES 16u

enum disk_engine { DISK_ENGINE_AUTO, DISK_ENGINE_URING, DISK_ENGINE_THREADS };

struct disk_spec {
	char *path; /* a file or a block device; owned */
	char id[DISK_ID_MAX + 1]; /* the serial number; empty: the device's name */
	bool ro; /* the guest may only read */
	bool snapshot; /* what the guest writes goes away with the VM */
	bool direct; /* past the host's page cache */
	bool raw; /* the user says that the file is no other format, whatever it looks like */
	unsigned int queues; /* 1 to DISK_MAX_QUEUES */
	enum disk_engine engine; /* AUTO: io_uring, or threads where that is forbidden */
	struct rate_spec rate; /* bytes and operations a second */
};

/* -EINVAL or -ERANGE, naming the part that is wrong. Owned by the caller on success only. */
int disk_spec_parse(struct disk_spec *out, const char *text, struct err *e);
/* Zeroed is fine. */
void disk_spec_fini(struct disk_spec *s);

#endif
