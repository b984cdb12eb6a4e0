/* Runs a test program on a stack that is large enough for the parser at its limits. */
#ifndef SQL_DEEP_H
#define SQL_DEEP_H

#include <pthread.h>
#include <stdint.h>

struct deep_run {
    int (*fn)(void);
    int result;
};

static inline void *
deep_thread(void *arg)
{
    struct deep_run *run = arg;

    run->result = run->fn();
    return NULL;
}

static inline int
run_deep(int (*fn)(void))
{
    struct deep_run run = {fn, 1};
    pthread_attr_t attr;
    pthread_t thread;

    if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, (size_t)256 << 20) != 0 ||
        pthread_create(&thread, &attr, deep_thread, &run) != 0)
        return 1;
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    return run.result;
}

#endif
