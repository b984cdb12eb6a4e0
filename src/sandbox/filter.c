#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVERY_NAMESPACE                                                                            \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

#define REFUSE      SCMP_ACT_ERRNO(EPERM)
#define KILL        SCMP_ACT_KILL_PROCESS
/* A sanitizer's report tries to start a symbolizer; killed for that, it would report nothing. */
#define KILL_FORKER (SANDBOX_SANITIZED ? REFUSE : KILL)

/* One line: a system call and at most two conditions on its arguments. */
struct rule {
    uint32_t action;
    int call;
    unsigned int n_conditions;
    struct scmp_arg_cmp conditions[2];
};

#define ARG(index, op, ...)                                                                        \
    {                                                                                              \
        (index), (op), __VA_ARGS__                                                                 \
    }
#define ARG_IS(index, value)  ARG(index, SCMP_CMP_EQ, (scmp_datum_t)(value), 0)
#define ARG_NOT(index, value) ARG(index, SCMP_CMP_NE, (scmp_datum_t)(value), 0)
#define ARG_BITS(index, mask, value)                                                               \
    ARG(index, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value))

#define N_CONDITIONS(...)                                                                          \
    (sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp))
#define CALL(action, name)                                                                         \
    {                                                                                              \
        (action), SCMP_SYS(name), 0,                                                               \
        {                                                                                          \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
#define CALL_IF(action, name, ...)                                                                 \
    {                                                                                              \
        (action), SCMP_SYS(name), N_CONDITIONS(__VA_ARGS__),                                       \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define ALLOW(name)         CALL(SCMP_ACT_ALLOW, name)
#define ALLOW_IF(name, ...) CALL_IF(SCMP_ACT_ALLOW, name, __VA_ARGS__)

/* What every one of our processes that has an allow-list may do: use what it has, get memory that
 * is never executable, know the time, end. */
static const struct rule allowed_to_all[] = {
    ALLOW(read),
    ALLOW(readv),
    ALLOW(pread64), /* of sealed memory files, whose position all holders share */
    ALLOW(write),
    ALLOW(writev),
    ALLOW(close),
    ALLOW(recvfrom),
    ALLOW(recvmsg),
    /* MSG_FASTOPEN is connect(2) by another name. */
    ALLOW_IF(sendto, ARG_BITS(3, MSG_FASTOPEN, 0)),
    ALLOW_IF(sendmsg, ARG_BITS(2, MSG_FASTOPEN, 0)),
    ALLOW(shutdown),
    ALLOW(getsockopt),
    ALLOW(getsockname),
    ALLOW(getpeername),
    ALLOW(poll),
    ALLOW(ppoll),
    /* F_SETFL could take O_APPEND from the spool and let a session rewrite what it said. */
    ALLOW_IF(fcntl, ARG_IS(1, F_GETFL)),
    ALLOW_IF(fcntl, ARG_IS(1, F_GETFD)),
    ALLOW_IF(fcntl, ARG_IS(1, F_SETFD)),
    ALLOW(fstat), /* not newfstatat, which takes paths; libc does without */

    ALLOW_IF(mmap, ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS), ARG_BITS(2, PROT_EXEC, 0)),
    /* A catalog, which all sessions of a database share: to read, as its descriptor allows no
     * more. The file that a reader writes could be made writable memory by this and mprotect();
     * that keeps the keeper from sealing it, and then nobody gets it. */
    ALLOW_IF(mmap, ARG_IS(2, PROT_READ), ARG_IS(3, MAP_SHARED)),
    ALLOW_IF(mprotect, ARG_BITS(2, PROT_EXEC, 0)),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(madvise),
    ALLOW(mlock),
    ALLOW(munlock),
    ALLOW(brk),

    ALLOW(clock_gettime),
    ALLOW(gettimeofday),
    ALLOW(time),
    ALLOW(nanosleep),
    ALLOW(clock_nanosleep),
    ALLOW(getrandom),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(sched_yield),

    ALLOW(futex),
    ALLOW(rt_sigreturn),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigaction),
    ALLOW(sigaltstack),
    ALLOW(restart_syscall),
    ALLOW(exit),
    ALLOW(exit_group),
};

/* What only an attacker inside a session would try ends it; the rest of the world gets EPERM,
 * because a library may ask for something harmless that we did not think of. */
static const struct rule session_rules[] = {
    ALLOW_IF(setsockopt, ARG_IS(1, IPPROTO_TCP), ARG_IS(2, TCP_NODELAY)),
    ALLOW_IF(setsockopt, ARG_IS(1, IPPROTO_TCP), ARG_IS(2, TCP_QUICKACK)),
    ALLOW_IF(setsockopt, ARG_IS(1, IPPROTO_TCP), ARG_IS(2, TCP_CORK)),
    /* abort(): a signal to itself and no one else. */
    ALLOW_IF(tgkill, ARG_IS(0, FILTER_PROCESS_PLACE)),
    CALL_IF(KILL, tgkill, ARG_NOT(0, FILTER_PROCESS_PLACE)),

    CALL(KILL, execve),
    CALL(KILL, execveat),
    CALL(KILL, socket),
    CALL(KILL, socketpair),
    CALL(KILL, connect),
    CALL(KILL, bind),
    CALL(KILL, listen),
    CALL(KILL, accept),
    CALL(KILL, accept4),
    CALL(KILL_FORKER, clone),
    CALL(KILL_FORKER, clone3),
    CALL(KILL_FORKER, fork),
    CALL(KILL_FORKER, vfork),
    CALL(KILL, ptrace),
    CALL(KILL, process_vm_readv),
    CALL(KILL, process_vm_writev),
    CALL(KILL, process_madvise),
    CALL(KILL, pidfd_open),
    CALL(KILL, pidfd_getfd),
    CALL(KILL, pidfd_send_signal),
    CALL(KILL, kcmp),
    CALL(KILL, io_uring_setup),
    CALL(KILL, io_uring_enter),
    CALL(KILL, io_uring_register),
    CALL(KILL, bpf),
    CALL(KILL, perf_event_open),
    CALL(KILL, userfaultfd),
    CALL(KILL, memfd_create),
    CALL(KILL, kill),
    CALL(KILL, tkill),
    CALL(KILL, rt_sigqueueinfo),
    CALL(KILL, rt_tgsigqueueinfo),
    CALL(KILL, unshare),
    CALL(KILL, setns),
    CALL(KILL, mount),
};

/* The listener has an allow-list too: it is nothing but our own loop and calls no library that
 * might surprise us, and it is the parent whose image every session has. It must contain what a
 * session needs and what a child does before it enters its own sandbox. */
static const struct rule listener_rules[] = {
    ALLOW(accept4),
    ALLOW_IF(socketpair, ARG_IS(0, AF_UNIX), ARG_BITS(1, SOCK_SEQPACKET, SOCK_SEQPACKET)),
    ALLOW(setsockopt),
    ALLOW(fcntl), /* the spool is not the listener's to protect: it passes it on */
    ALLOW(pipe2),
    ALLOW(dup),
    ALLOW(dup3),
    ALLOW(close_range),
    ALLOW(epoll_create1),
    ALLOW(epoll_ctl),
    ALLOW(epoll_wait),
    ALLOW(epoll_pwait),
    ALLOW(eventfd2),
    ALLOW(timerfd_create),
    ALLOW(timerfd_settime),
    ALLOW(signalfd4),

    /* Children: fork(), but no namespaces. clone3 hides its flags: libc then takes clone. */
    ALLOW_IF(clone, ARG_BITS(0, EVERY_NAMESPACE, 0)),
    CALL(SCMP_ACT_ERRNO(ENOSYS), clone3),
    ALLOW(fork),
    ALLOW(vfork),
    ALLOW(wait4),
    ALLOW(waitid),
    ALLOW(kill),
    ALLOW(tgkill),
    ALLOW(pidfd_open),
    ALLOW(pidfd_send_signal),
    ALLOW(getppid),
    ALLOW(getuid),
    ALLOW(geteuid),
    ALLOW(getgid),
    ALLOW(getegid),
    ALLOW(setpgid),
    ALLOW(setsid),
    ALLOW(set_robust_list),
    ALLOW(set_tid_address),
    ALLOW(rseq),
    ALLOW(sched_getaffinity),
    ALLOW(sysinfo),

    /* A child's way into its own sandbox. */
    ALLOW(prctl),
    ALLOW(seccomp),
    ALLOW(landlock_create_ruleset),
    ALLOW(landlock_restrict_self),
    ALLOW(prlimit64),
    ALLOW(getrlimit),
    ALLOW(setrlimit),
    ALLOW(capset),
    ALLOW(capget),

    CALL(KILL, execve),
    CALL(KILL, execveat),
    CALL(KILL, ptrace),
    CALL(KILL, process_vm_readv),
    CALL(KILL, process_vm_writev),
    CALL(KILL, bpf),
    CALL(KILL, io_uring_setup),
};

/* The keeper, the ledger and control have a deny-list: resolver modules, libcurl and SQLite use
 * what they like and change it with every update of the system, and a call that fails by surprise
 * there would stop every session. What bounds them is Landlock for files and ports; the list takes
 * away what no version of those libraries needs: programs, other processes, the kernel's levers.
 * Threads are allowed, processes are not. */
static const struct rule service_rules[] = {
    CALL(KILL, execve),
    CALL(KILL, execveat),
    CALL(KILL, ptrace),
    CALL(KILL, process_vm_readv),
    CALL(KILL, process_vm_writev),
    CALL(KILL, bpf),
    CALL(KILL, init_module),
    CALL(KILL, finit_module),
    CALL(KILL, delete_module),
    CALL(KILL, kexec_load),
    CALL(KILL, kexec_file_load),
    CALL(KILL, pivot_root),
    CALL(KILL, mount),
    CALL(KILL, reboot),

    CALL(SCMP_ACT_ERRNO(ENOSYS), clone3),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_THREAD, 0)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWNS, CLONE_NEWNS)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWNET, CLONE_NEWNET)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWUTS, CLONE_NEWUTS)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWIPC, CLONE_NEWIPC)),
    CALL_IF(REFUSE, clone, ARG_BITS(0, CLONE_NEWCGROUP, CLONE_NEWCGROUP)),
    CALL(REFUSE, fork),
    CALL(REFUSE, vfork),
    CALL(REFUSE, unshare),
    CALL(REFUSE, setns),
    CALL_IF(REFUSE, mprotect, ARG_BITS(2, PROT_EXEC, PROT_EXEC)),
    CALL(REFUSE, pkey_mprotect),
    CALL(REFUSE, process_madvise),
    CALL(REFUSE, pidfd_getfd),
    CALL(REFUSE, pidfd_send_signal),
    CALL(REFUSE, kcmp),
    CALL(REFUSE, io_uring_setup),
    CALL(REFUSE, io_uring_enter),
    CALL(REFUSE, io_uring_register),
    CALL(REFUSE, perf_event_open),
    CALL(REFUSE, userfaultfd),
    CALL(REFUSE, fanotify_init),
    CALL(REFUSE, open_by_handle_at),
    CALL(REFUSE, mknod),
    CALL(REFUSE, umount2),
    CALL(REFUSE, mount_setattr),
    CALL(REFUSE, move_mount),
    CALL(REFUSE, open_tree),
    CALL(REFUSE, fsopen),
    CALL(REFUSE, fsconfig),
    CALL(REFUSE, fsmount),
    CALL(REFUSE, fspick),
    CALL(REFUSE, chroot),
    CALL(REFUSE, swapon),
    CALL(REFUSE, swapoff),
    CALL(REFUSE, acct),
    CALL(REFUSE, quotactl),
    CALL(REFUSE, syslog),
    CALL(REFUSE, vhangup),
    CALL(REFUSE, personality),
    CALL(REFUSE, iopl),
    CALL(REFUSE, ioperm),
    CALL(REFUSE, modify_ldt),
    CALL(REFUSE, settimeofday),
    CALL(REFUSE, clock_settime),
    CALL(REFUSE, clock_adjtime),
    CALL(REFUSE, adjtimex),
    CALL(REFUSE, sethostname),
    CALL(REFUSE, setdomainname),
    CALL(REFUSE, add_key),
    CALL(REFUSE, request_key),
    CALL(REFUSE, keyctl),
};

/* The keeper and control load resolver modules when they need them: they may map files to run, but
 * no memory that they can also write. */
static const struct rule keeper_rules[] = {
    CALL_IF(REFUSE, mmap, ARG_BITS(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)),
    CALL_IF(REFUSE, mmap, ARG_BITS(2, PROT_EXEC, PROT_EXEC),
            ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)),
};

static const struct rule ledger_rules[] = {
    CALL_IF(REFUSE, mmap, ARG_BITS(2, PROT_EXEC, PROT_EXEC)),
    CALL_IF(REFUSE, socket, ARG_NOT(0, AF_UNIX)),
};

struct rules {
    const struct rule *rules;
    size_t n;
};

#define RULES(table)                                                                               \
    {                                                                                              \
        (table), sizeof(table) / sizeof((table)[0])                                                \
    }

static const struct kind {
    bool allow_others;
    struct rules parts[2];
} kinds[] = {
    [FILTER_SESSION] = {false, {RULES(allowed_to_all), RULES(session_rules)}},
    [FILTER_LISTENER] = {false, {RULES(allowed_to_all), RULES(listener_rules)}},
    [FILTER_KEEPER] = {true, {RULES(service_rules), RULES(keeper_rules)}},
    [FILTER_LEDGER] = {true, {RULES(service_rules), RULES(ledger_rules)}},
    [FILTER_CONTROL] = {true, {RULES(service_rules), RULES(keeper_rules)}},
};

static enum err
add_rules(scmp_filter_ctx context, uint32_t otherwise, struct rules rules)
{
    for (size_t i = 0; i < rules.n; i++) {
        const struct rule *rule = &rules.rules[i];
        int result;

        if (rule->action == otherwise) /* libseccomp takes that for a mistake */
            continue;
        result = seccomp_rule_add_array(context, rule->action, rule->call, rule->n_conditions,
                                        rule->n_conditions > 0 ? rule->conditions : NULL);

        /* A call that this architecture does not have needs no rule. */
        if (result < 0 && !(rule->call < 0 && result == -EDOM)) {
            errno = -result;
            return fail_errno(ERR_UNSUPPORTED, "cannot build the seccomp rule %zu (call %d)", i,
                              rule->call);
        }
    }
    return OK;
}

static enum err
read_code(int fd, struct filter *out)
{
    ssize_t n;

    if (lseek(fd, 0, SEEK_SET) < 0 || (n = read(fd, out->code, sizeof(out->code))) < 0)
        return fail_errno(ERR_IO, "cannot read the seccomp filter");
    if (n == 0 || n == sizeof(out->code) || (size_t)n % sizeof(out->code[0]) != 0)
        return fail(ERR_LIMIT, "the seccomp filter has an impossible size (%zd bytes)", n);
    out->n = (unsigned short)((size_t)n / sizeof(out->code[0]));
    return OK;
}

static enum err
export_code(scmp_filter_ctx context, struct filter *out)
{
    int fd = memfd_create("seccomp-filter", MFD_CLOEXEC);
    int result;
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot make a memory file");
    if ((result = seccomp_export_bpf(context, fd)) < 0) {
        errno = -result;
        e = fail_errno(ERR_UNSUPPORTED, "cannot compile the seccomp filter");
    } else {
        e = read_code(fd, out);
    }
    close(fd);
    return e;
}

/* Bad architectures (i386, x32) kill, whatever the process. */
enum err
filter_compile(enum filter_kind kind, struct filter *out)
{
    const struct kind *k = &kinds[kind];
    uint32_t otherwise = k->allow_others ? SCMP_ACT_ALLOW : REFUSE;
    scmp_filter_ctx context = seccomp_init(otherwise);
    enum err e = OK;

    if (context == NULL)
        return fail(ERR_UNSUPPORTED, "libseccomp cannot make a filter on this kernel");
    if (seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, KILL) < 0 ||
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
        e = fail(ERR_UNSUPPORTED, "libseccomp is too old");
    for (size_t i = 0; e == OK && i < 2; i++)
        e = add_rules(context, otherwise, k->parts[i]);
    if (e == OK)
        e = export_code(context, out);
    seccomp_release(context);
    return e;
}

void
filter_set_process(struct filter *f)
{
    for (unsigned short i = 0; i < f->n; i++) {
        struct sock_filter *op = &f->code[i];

        if (BPF_CLASS(op->code) == BPF_JMP && BPF_OP(op->code) == BPF_JEQ &&
            op->k == FILTER_PROCESS_PLACE)
            op->k = (uint32_t)getpid();
    }
}

enum err
filter_enter(const struct filter *f)
{
    struct sock_fprog program = {.len = f->n, .filter = (struct sock_filter *)f->code};

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        return fail_errno(ERR_UNSUPPORTED, "cannot enter the seccomp filter");
    return OK;
}
