/* A configuration file: parsed, checked, reported. */
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(64 << 20);
    struct buf text = buf_make(4 << 20);
    struct config_report report = {.text = &text};
    struct config *config;
    enum err e = config_parse((struct str){(const char *)data, size}, STR("fuzz.yaml"), arena,
                              &report, &config);

    if ((e == OK) != (config != NULL) || (e == OK && report.errors > 0))
        __builtin_trap();
    arena_free(arena);
    buf_free(&text);
    return 0;
}
