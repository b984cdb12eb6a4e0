/* The file of a recording: heads and hashes without a key, as control and the check against the
 * ledger read them. Then the input is taken as the lines that a chunk holds, by film and script,
 * which show no control character of it. */
#include <stdlib.h>

#include "recording/event.h"
#include "recording/film.h"
#include "recording/reader.h"
#include "recording/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err
check_frame(void *arg, const struct film_frame *frame)
{
    (void)arg;
    for (size_t i = 0; i < frame->text.len; i++) {
        unsigned char c = (unsigned char)frame->text.ptr[i];

        if ((c < 0x20 && c != '\n') || c == 0x7f)
            __builtin_trap();
    }
    if (!str_is_utf8(frame->text))
        __builtin_trap();
    return OK;
}

static enum err
ignore(void *arg, struct str bytes)
{
    (void)arg;
    (void)bytes;
    return OK;
}

static void
read_heads(struct str bytes)
{
    struct recording_source source = recording_source_memory(&bytes);
    unsigned char hash[RECORDING_HASH_BYTES];
    struct recording_chunk chunk;
    struct recording_reader *r;
    uint64_t before;

    if (recording_reader_open(&source, NULL, &r) != OK)
        return;
    for (before = 0; recording_reader_next_chunk(r, &chunk, hash) == OK;
         before = recording_reader_offset(r))
        if (recording_reader_offset(r) <= before || recording_reader_offset(r) > bytes.len)
            __builtin_trap();
    err_ignore(recording_reader_seek(r, bytes.len));
    recording_reader_close(r);
}

/* As if the bytes were what a chunk holds. */
static void
show_lines(struct str bytes)
{
    struct film *film;
    struct script *script;
    struct str line;

    if (film_new(false, &film) != OK || script_new(ignore, NULL, &script) != OK)
        abort();
    while (bytes.len > 0) {
        bytes = str_cut(bytes, '\n', &line);
        err_ignore(film_event(film, line, check_frame, NULL));
        err_ignore(script_event(script, line));
    }
    err_ignore(script_end(script));
    script_free(script);
    film_free(film);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};

    read_heads(bytes);
    show_lines(bytes);
    (void)script_is_unsafe(bytes);
    return 0;
}
