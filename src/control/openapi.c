#include "control/openapi.h"

/* The assembler brings the file as it is; meson says where it lies. */
__asm__(".section .rodata\n"
        ".global openapi_json\n"
        "openapi_json:\n"
        ".incbin \"" OPENAPI_JSON "\"\n"
        "openapi_json_end:\n"
        ".byte 0\n"
        ".balign 8\n"
        ".global openapi_json_len\n"
        "openapi_json_len:\n"
        ".quad openapi_json_end - openapi_json\n"
        ".previous\n");
