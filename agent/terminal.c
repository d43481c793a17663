/*
 * A system call filter of a few lines (seccomp(2)): two requests of ioctl(2) are
 * refused, and so is every call that is not of the native kind, whose numbers
 * would mean something else. A session of its own (setsid) would do too, but a
 * shell in it has no job control, and Ctrl-C does not reach it. Kernels from 6.2
 * on can do without TIOCSTI, if their admin says so; not all do.
 */
#include "agent/terminal.h"

#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "agent/base/own.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define NATIVE AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define NATIVE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define NATIVE AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && __BYTE_ORDER == __LITTLE_ENDIAN
#define NATIVE AUDIT_ARCH_PPC64LE
#else
#error "add this architecture's AUDIT_ARCH_ name, see linux/audit.h"
#endif

#define X32_BIT \
	0x40000000u /* calls of the x32 kind have the same architecture; no other has such numbers */

#define LOAD(field)                 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define RETURN(value)               BPF_STMT(BPF_RET | BPF_K, (value))
#define SKIP_IF(op, value, yes, no) BPF_JUMP(BPF_JMP | (op) | BPF_K, (value), (yes), (no))
#define REFUSE(error)               RETURN(SECCOMP_RET_ERRNO | (error))

/* The kernel takes 32 bits of an ioctl's request, so the other 32 must not matter here either. */
#define REQUEST (offsetof(struct seccomp_data, args[1]) + (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0))

int terminal_guard(struct err *e)
{
	struct sock_filter lines[] = {
		LOAD(offsetof(struct seccomp_data, arch)),
		SKIP_IF(BPF_JEQ, NATIVE, 1, 0),
		REFUSE(ENOSYS),
		LOAD(offsetof(struct seccomp_data, nr)),
		SKIP_IF(BPF_JGE, X32_BIT, 0, 1),
		REFUSE(ENOSYS),
		SKIP_IF(BPF_JEQ, SYS_ioctl, 0, 3),
		LOAD(REQUEST),
		SKIP_IF(BPF_JEQ, TIOCSTI, 2, 0),
		SKIP_IF(BPF_JEQ, TIOCLINUX, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		REFUSE(EPERM),
	};
	struct sock_fprog filter = { .len = ELEMENTS(lines), .filter = lines };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
		return err_sys(e, "guard the terminal");
	return 0;
}
