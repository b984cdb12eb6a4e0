#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/recording_file.h"
#include "recording/event.h"
#include "recording/film.h"

enum {
    SECOND_US = 1000000,
    IDLE_MAX_US = 3 * SECOND_US, /* longer pauses are cut to this, at any speed */
    LETTER_US = 25000,
    TYPING_MAX_US = 1500000, /* of one statement */
    JUMP_US = 10 * SECOND_US,
    SPEED_MAX = 1000,
};

static const char usage[] =
    "usage: bulkhead replay SESSION|FILE [OPTION]...\n"
    "\n"
    "Shows a recorded session in the terminal as it went, or all at once where standard output is\n"
    "no terminal.\n"
    "\n"
    "  --speed N         N times as fast; default 1, at most 1000\n"
    "  --from T          begin T seconds after its start\n"
    "  --key FILE        the private key of recordings\n"
    "  --recordings DIR  the directory of recordings\n"
    "  --ledger DIR      check the recording against the ledger there first\n"
    "  --config FILE     where key and directory are looked up otherwise; default:\n"
    "                    $BULKHEAD_CONFIG, /etc/bulkhead/bulkhead.yaml\n"
    "\n"
    "keys: space pauses, + and - change the speed, right and left go ten seconds on and back,\n"
    "q quits\n";

struct player {
    struct recording_set *set;
    struct film *film;
    bool live; /* a terminal: in its own time */
    bool paused, jumped, quit;
    double speed;
    uint64_t at_us;   /* in the session */
    uint64_t from_us; /* what is before it is passed over */
};

static struct termios saved;
static volatile sig_atomic_t changed;

/* Only what may be called from a signal's handler. */
static void
restore_terminal(void)
{
    if (changed)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    changed = 0;
}

static void
on_signal(int number)
{
    restore_terminal();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void
prepare_terminal(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) != 0)
        return;
    raw = saved;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)signal(signals[i], on_signal);
    changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void
jump(struct player *p, bool back)
{
    p->from_us = back ? (p->at_us > JUMP_US ? p->at_us - JUMP_US : 0) : p->at_us + JUMP_US;
    p->jumped = true;
    if (back) {
        fputs("\n-- back\n", stdout);
        if (recording_set_seek(p->set, p->from_us) != OK)
            p->quit = true;
    }
}

static void
obey_keys(struct player *p)
{
    char keys[16];
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == ' ')
            p->paused = !p->paused;
        else if (keys[i] == 'q')
            p->quit = true;
        else if (keys[i] == '+' && p->speed < SPEED_MAX)
            p->speed *= 2;
        else if (keys[i] == '-' && p->speed > 1.0 / 16)
            p->speed /= 2;
        else if (keys[i] == '\033' && i + 2 < n && keys[i + 1] == '[') {
            if (keys[i + 2] == 'C' || keys[i + 2] == 'D')
                jump(p, keys[i + 2] == 'D');
            i += 2;
        }
    }
}

/* Lets `us` of the session pass, unless a key says otherwise. */
static void
pass_time(struct player *p, uint64_t us)
{
    double left_us = (double)us;
    int64_t last = clock_monotonic_us();

    fflush(stdout);
    while (!p->quit && !p->jumped && (left_us > 0 || p->paused)) {
        struct pollfd key = {changed ? STDIN_FILENO : -1, POLLIN, 0};
        double wait_ms = p->paused ? 1000 : left_us / p->speed / 1000;
        int64_t now;

        if (poll(&key, 1, wait_ms > 1000 ? 1000 : (int)wait_ms + 1) > 0)
            obey_keys(p);
        now = clock_monotonic_us();
        if (!p->paused)
            left_us -= (double)(now - last) * p->speed;
        last = now;
    }
}

static void
type(struct player *p, struct str text)
{
    uint64_t letters = text.len == 0 ? 1 : text.len, each = TYPING_MAX_US / letters;

    each = each < LETTER_US ? each : LETTER_US;
    for (size_t i = 0; i < text.len;) {
        size_t n = str_utf8_length(str_skip(text, i));

        n = n == 0 ? 1 : n;
        fwrite(text.ptr + i, 1, n, stdout);
        i += n;
        if (!p->quit && !p->jumped)
            pass_time(p, each);
    }
}

static enum err
show(void *arg, const struct film_frame *frame)
{
    struct player *p = arg;

    if (p->live && frame->at_us > p->at_us) {
        uint64_t idle = frame->at_us - p->at_us;

        pass_time(p, idle < IDLE_MAX_US ? idle : IDLE_MAX_US);
    }
    if (p->quit || p->jumped)
        return OK;
    p->at_us = frame->at_us;
    if (p->live && frame->typed)
        type(p, frame->text);
    else
        fwrite(frame->text.ptr, 1, frame->text.len, stdout);
    if (ferror(stdout))
        return fail_errno(ERR_IO, "cannot write");
    return OK;
}

static enum err
play(struct player *p)
{
    struct recording_event_head head;
    struct str line;
    enum err e;

    if (p->from_us > 0 && (e = recording_set_seek(p->set, p->from_us)) != OK)
        return e;
    while (!p->quit && (e = recording_set_next(p->set, &line)) == OK) {
        p->jumped = false;
        if ((e = recording_event_head(line, &head)) != OK)
            return e;
        if (head.at_us < p->from_us) {
            p->at_us = p->from_us;
            continue;
        }
        if (p->at_us > head.at_us || p->at_us < p->from_us)
            p->at_us = head.at_us;
        if ((e = film_event(p->film, line, show, p)) != OK)
            return e;
    }
    if (p->quit || e == ERR_CLOSED)
        return fflush(stdout) == 0 ? OK : fail_errno(ERR_IO, "cannot write");
    return e;
}

static int
replay(const struct recording_request *request, double speed, double from)
{
    struct player p = {.speed = speed,
                       .from_us = (uint64_t)(from * SECOND_US),
                       .live = isatty(STDOUT_FILENO) == 1};
    struct recording_opened opened;
    enum err e;

    if (recording_file_open(request, &opened) != OK)
        return CLI_FAILED;
    p.set = opened.set;
    if (p.live)
        prepare_terminal();
    if ((e = film_new(p.live, &p.film)) == OK)
        e = play(&p);
    restore_terminal();
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    else if (!p.quit && recording_set_end(p.set) == RECORDING_CUT_OFF)
        fputs("bulkhead: the recording is cut off: the session goes on, or its recorder died\n",
              stderr);
    film_free(p.film);
    recording_file_close(&opened);
    return e == OK ? CLI_OK : CLI_FAILED;
}

/* A number above 0, or from 0 on, up to `max`. */
static bool
parse_number(const char *text, double least, double max, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= least && *out <= max;
}

int
cli_replay(int argc, char **argv)
{
    static const struct option options[] = {
        {"speed", required_argument, NULL, 's'},  {"from", required_argument, NULL, 'f'},
        {"key", required_argument, NULL, 'k'},    {"recordings", required_argument, NULL, 'r'},
        {"ledger", required_argument, NULL, 'l'}, {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct recording_request request = {.config = cli_default_config()};
    const char *speed_text = "1", *from_text = "0";
    double speed, from;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **to = option == 's'   ? &speed_text
                          : option == 'f' ? &from_text
                          : option == 'k' ? &request.key
                          : option == 'r' ? &request.directory
                          : option == 'l' ? &request.ledger
                          : option == 'c' ? &request.config
                                          : NULL;

        if (to == NULL) {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? CLI_OK : CLI_USAGE;
        }
        *to = optarg;
    }
    if (optind + 1 != argc || !parse_number(speed_text, 0.01, SPEED_MAX, &speed) ||
        !parse_number(from_text, 0, 1e9, &from)) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    request.which = argv[optind];
    return replay(&request, speed, from);
}
