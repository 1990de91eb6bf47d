/* Many people at once, for the benchmark: they speak Socket.IO over WebSocket, and every delivery is looked at.
 *
 * One thread, one epoll. Each message begins with its number in a fixed form, which is looked for in whatever the
 * server makes of it: so each (person, message) is known to be heard once, never or twice.
 * It writes a line when something begins or ends; whoever started it then reads what the servers have cost:
 *   joined N SECONDS, idle, begin, end, then one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { TAG = 12, TEXT = 100, BUFFER = 1 << 18, INFLATED = 1 << 20, SERVERS = 8 };
static const double JOIN_SECONDS = 60, IDLE_SECONDS = 0.4;

static int people = 100, rooms = 1, senders = 1, outstanding = 1;
static int opening = 250; /* this many connect and join at once */
static double rate, warm_up, seconds = 3, drain = 10; /* so long is what was not yet heard waited for */
static bool deflate_offered;
static struct sockaddr_in servers[SERVERS];
static int server_count;

typedef enum { ABSENT, CONNECTING, UPGRADING, OPENING, GREETING, JOINING, IN, GONE } State;

typedef struct {
    int socket, room;
    State state;
    uint8_t *kept, *unsent; /* the beginning of a frame; what the socket did not take */
    size_t kept_size, unsent_size;
    long rev;
    z_stream *inflating;
} Person;

typedef struct {
    double sent;
    int sender, expected, heard;
    bool measured;
    uint8_t *heard_by; /* a bit for each person */
} Message;

static Person *persons;
static Message *messages;
static float *latencies; /* milliseconds, of what was sent in the measured span */
static size_t latency_count, latency_room;
static int *in_room, *free_senders; /* a ring of who may send */
static int epoll, launched, joined, gone, said, open_messages, free_first, free_count;
static bool sending, measuring;
static long deliveries, completed, measured_sent, doubled, strayed, disordered, acknowledged;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void *need(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

/* ---- sockets ---- */

static void leave(Person *p, const char *why) {
    if (p->state == GONE) return;
    if (gone++ < 3) fprintf(stderr, "load: person %d is gone: %s\n", (int)(p - persons), why);
    if (p->state == IN) in_room[p->room]--;
    p->state = GONE;
    close(p->socket);
}

static void watch(Person *p, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = p};
    epoll_ctl(epoll, EPOLL_CTL_MOD, p->socket, &event);
}

static void write_out(Person *p, const void *bytes, size_t size) {
    ssize_t taken = p->unsent_size ? 0 : send(p->socket, bytes, size, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) {
        leave(p, "nothing can be sent");
        return;
    }
    if (taken < 0) taken = 0;
    if ((size_t)taken == size) return;
    size_t rest = size - (size_t)taken;
    p->unsent = need(realloc(p->unsent, p->unsent_size + rest));
    memcpy(p->unsent + p->unsent_size, (const uint8_t *)bytes + taken, rest);
    p->unsent_size += rest;
    watch(p, true);
}

static void write_rest(Person *p) {
    ssize_t taken = send(p->socket, p->unsent, p->unsent_size, MSG_NOSIGNAL);
    if (taken > 0) memmove(p->unsent, p->unsent + taken, p->unsent_size -= (size_t)taken);
    if (!p->unsent_size) watch(p, false);
}

static void write_frame(Person *p, int opcode, const char *text) {
    static const uint8_t mask[4] = {0x5a, 0x17, 0xc3, 0xe9};
    uint8_t frame[1024];
    size_t size = strlen(text), head = 2;
    if (size > sizeof frame - 8) die("a frame is too long: %zu bytes", size);
    frame[0] = (uint8_t)(0x80 | opcode);
    frame[1] = (uint8_t)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) frame[2] = (uint8_t)(size >> 8), frame[3] = (uint8_t)size, head = 4;
    memcpy(frame + head, mask, 4);
    head += 4;
    for (size_t i = 0; i < size; i++) frame[head + i] = (uint8_t)text[i] ^ mask[i & 3];
    write_out(p, frame, head + size);
}

static void launch(void) {
    for (; launched < people && launched - joined - gone < opening; launched++) {
        Person *p = &persons[launched];
        int on = 1;
        p->room = launched % rooms;
        p->state = CONNECTING;
        p->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (p->socket < 0) die("no socket: %s", strerror(errno));
        setsockopt(p->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = p};
        epoll_ctl(epoll, EPOLL_CTL_ADD, p->socket, &event);
        struct sockaddr_in *to = &servers[launched % server_count];
        if (connect(p->socket, (struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS) leave(p, "no connection");
    }
}

static void ask_to_upgrade(Person *p) {
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: bWFueSBwZW9wbGUgMTIzNA==\r\n%s\r\n",
                        ntohs(servers[(p - persons) % server_count].sin_port),
                        deflate_offered ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
    watch(p, false);
    p->state = UPGRADING;
    write_out(p, request, (size_t)size);
}

/* ---- the conversation ---- */

/* Handles are "u" and the number of the sender. Servers may refuse a handle that looks like another one's in the same
 * room: all handles differ, and no letter in them looks like one of the digits, as l and O would.
 */
static void say(int sender, double when) {
    Person *p = &persons[sender];
    if (p->state != IN) return;
    if (!(said & (said - 1))) messages = need(realloc(messages, sizeof *messages * (size_t)(said ? said * 2 : 1)));
    messages[said] = (Message){.sent = when, .sender = sender, .expected = in_room[p->room], .measured = measuring};
    messages[said].heard_by = need(calloc((size_t)people / 8 + 1, 1));
    char text[TEXT + 1], event[TEXT + 100];
    int size = snprintf(text, sizeof text, "@@%08x@@", said);
    for (; size < TEXT; size++) text[size] = "the quick brown fox jumps over the lazy dog "[size % 44];
    text[TEXT] = 0;
    snprintf(event, sizeof event, "42%d[\"chat\",{\"handle\":\"u%d\",\"message\":\"%s\"}]", said, sender, text);
    said++;
    open_messages++;
    measured_sent += measuring;
    write_frame(p, 1, event);
}

static void let_send(int sender) {
    free_senders[(free_first + free_count++) % senders] = sender;
}

static void send_what_may_be(void) {
    while (sending && rate == 0 && open_messages < outstanding && free_count) {
        int sender = free_senders[free_first];
        free_first = (free_first + 1) % senders;
        free_count--;
        say(sender, now());
    }
}

static void keep_latency(double milliseconds) {
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 1 << 16;
        latencies = need(realloc(latencies, sizeof *latencies * latency_room));
    }
    latencies[latency_count++] = (float)milliseconds;
}

static long number_after(const char *frame, size_t size, const char *key) {
    const char *found = memmem(frame, size, key, strlen(key));
    return found ? strtol(found + strlen(key), NULL, 10) : 0; /* the frame goes on after the number */
}

static void hear(Person *p, const char *frame, size_t size, double when) {
    const char *tag = memmem(frame, size, "@@", 2);
    if (!tag || (size_t)(frame + size - tag) < TAG) return;
    long rev = number_after(frame, size, "\"rev\":");
    unsigned long number = strtoul(tag + 2, NULL, 16);
    int index = (int)(p - persons);
    if (number >= (unsigned long)said) die("nobody said what was heard: %.*s", (int)size, frame);
    Message *m = &messages[number];
    if (persons[m->sender].room != p->room) {
        strayed++;
        return;
    }
    if (m->heard_by[index / 8] & 1 << index % 8) {
        doubled++;
        return;
    }
    m->heard_by[index / 8] |= (uint8_t)(1 << index % 8);
    disordered += rev <= p->rev; /* also where there is none */
    p->rev = rev;
    deliveries += measuring;
    if (m->measured) keep_latency((when - m->sent) * 1e3);
    if (++m->heard < m->expected) return;
    completed += measuring;
    open_messages--;
    let_send(m->sender);
    send_what_may_be();
}

static bool is_ok(const char *frame, size_t size) {
    return memmem(frame, size, "\"ok\":true", 9) || memmem(frame, size, "\"ok\": true", 10);
}

static void come_in(Person *p, const char *frame, size_t size) {
    if (!is_ok(frame, size)) die("a join was refused: %.*s", (int)size, frame);
    p->state = IN;
    in_room[p->room]++;
    joined++;
    launch();
}

static void on_text(Person *p, const char *frame, size_t size, double when) {
    char answer[64];
    if (size == 1 && frame[0] == '2') { /* a ping */
        write_frame(p, 1, "3");
    } else if (p->state == OPENING && frame[0] == '0') {
        p->state = GREETING;
        write_frame(p, 1, "40");
    } else if (p->state == GREETING && size > 1 && frame[1] == '0') {
        p->state = JOINING;
        snprintf(answer, sizeof answer, "420[\"join\",{\"label\":\"r%d\"}]", p->room);
        write_frame(p, 1, answer);
    } else if (p->state == JOINING && size > 1 && frame[1] == '3') {
        come_in(p, frame, size);
    } else if (p->state == IN && size > 1 && frame[1] == '3') {
        if (!is_ok(frame, size)) die("a message was refused: %.*s", (int)size, frame);
        acknowledged++;
    } else if (p->state == IN && size > 9 && !memcmp(frame, "42[\"chat\"", 9)) {
        hear(p, frame, size, when);
    } else if (size > 1 && (!memcmp(frame, "41", 2) || !memcmp(frame, "44", 2))) {
        leave(p, "the server said goodbye");
    }
}

static void on_deflated(Person *p, uint8_t *bytes, size_t size, double when) {
    static uint8_t text[INFLATED], tail[4] = {0, 0, 255, 255};
    z_stream *z = p->inflating;
    if (!z) {
        z = p->inflating = need(calloc(1, sizeof *z));
        inflateInit2(z, -15);
    }
    z->next_out = text, z->avail_out = sizeof text;
    z->next_in = bytes, z->avail_in = (uInt)size;
    int first = inflate(z, Z_SYNC_FLUSH);
    z->next_in = tail, z->avail_in = sizeof tail;
    int second = inflate(z, Z_SYNC_FLUSH);
    if ((first != Z_OK && first != Z_BUF_ERROR) || (second != Z_OK && second != Z_BUF_ERROR)) {
        leave(p, "what came cannot be inflated");
        return;
    }
    on_text(p, (char *)text, sizeof text - z->avail_out, when);
}

static const char *closed(const uint8_t *code) {
    static char why[50];
    snprintf(why, sizeof why, "the server closed the connection: %d", code[0] << 8 | code[1]);
    return why;
}

static size_t frame_size(const uint8_t *frame, size_t size, size_t *head) {
    if (size < 2) return 0;
    size_t length = frame[1] & 127, bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    *head = 2 + bytes;
    if (size < *head) return 0;
    if (bytes) length = 0;
    for (size_t i = 0; i < bytes; i++) length = length << 8 | frame[2 + i];
    return size < *head + length ? 0 : *head + length;
}

static size_t read_frames(Person *p, uint8_t *bytes, size_t size, double when) {
    size_t used = 0, whole, head;
    while (p->state != GONE && (whole = frame_size(bytes + used, size - used, &head))) {
        uint8_t *frame = bytes + used;
        int opcode = frame[0] & 15;
        used += whole;
        if (opcode == 9) write_frame(p, 10, "");
        else if (opcode == 8) leave(p, whole > head + 1 ? closed(frame + head) : "the server closed the connection");
        else if (opcode == 1 && frame[0] & 0x80 && frame[0] & 0x40) on_deflated(p, frame + head, whole - head, when);
        else if (opcode == 1 && frame[0] & 0x80) on_text(p, (char *)frame + head, whole - head, when);
        else if (opcode != 10) leave(p, "a frame that nobody expects");
    }
    return used;
}

static void read_in(Person *p) {
    static uint8_t buffer[BUFFER];
    uint8_t *at = buffer;
    size_t size = p->kept_size;
    if (size) memcpy(buffer, p->kept, size);
    ssize_t got = recv(p->socket, buffer + size, sizeof buffer - size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        leave(p, got ? strerror(errno) : "the server hung up");
        launch();
        return;
    }
    double when = now();
    size += (size_t)got;
    if (p->state == UPGRADING) {
        uint8_t *end = memmem(buffer, size, "\r\n\r\n", 4);
        if (end && memcmp(buffer, "HTTP/1.1 101", 12)) die("no WebSocket: %.*s", (int)size, (char *)buffer);
        if (end) {
            at = end + 4;
            p->state = OPENING;
        }
    }
    size -= (size_t)(at - buffer);
    if (p->state > UPGRADING) {
        size_t used = read_frames(p, at, size, when);
        at += used, size -= used;
    }
    if (size > p->kept_size) p->kept = need(realloc(p->kept, size));
    p->kept_size = size;
    if (size) memcpy(p->kept, at, size);
}

static void on_event(Person *p, uint32_t events) {
    if (p->state == CONNECTING && events & (EPOLLERR | EPOLLHUP)) {
        leave(p, "no connection");
        launch();
    } else if (p->state == CONNECTING) {
        ask_to_upgrade(p);
    } else if (p->state != GONE) {
        if (events & EPOLLOUT && p->unsent_size) write_rest(p);
        if (events & ~(uint32_t)EPOLLOUT) read_in(p);
    }
}

static bool all_here(void) { return joined + gone == people; }
static bool all_heard(void) { return open_messages <= 0; }
static bool never(void) { return false; }

static void live(double until, bool (*enough)(void)) {
    static double due;
    struct epoll_event events[512];
    double time;
    while ((time = now()) < until && !enough()) {
        double wake = until;
        if (sending && rate > 0) {
            if (due == 0) due = time;
            for (; due <= time; due += 1 / rate) say(said % senders, due);
            if (due < wake) wake = due;
        }
        int wait = (int)((wake - time) * 1e3); /* rounded down: the last millisecond before a message is spun away */
        int ready = epoll_wait(epoll, events, 512, wait < 100 ? wait : 100);
        for (int i = 0; i < ready; i++) on_event(events[i].data.ptr, events[i].events);
    }
}

/* ---- the run ---- */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(double part) {
    return latency_count ? (double)latencies[(size_t)(part * (double)(latency_count - 1))] : 0;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void tell(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}

static void report(double span, double cpu) {
    long lost = 0;
    for (int i = 0; i < said; i++) lost += messages[i].expected - messages[i].heard;
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    tell("{\"seconds\": %.4f, \"load_cpu\": %.3f, \"said\": %d, \"measured\": %ld, \"completed\": %ld, "
         "\"deliveries\": %ld, \"p50\": %.3f, \"p99\": %.3f, \"lost\": %ld, \"doubled\": %ld, \"strayed\": %ld, "
         "\"disordered\": %ld, \"unanswered\": %ld, \"gone\": %d}\n",
         span, cpu / span, said, measured_sent, completed, deliveries, percentile(.5), percentile(.99), lost, doubled,
         strayed, disordered, said - acknowledged, gone);
}

static bool all_answered(void) { return all_heard() && acknowledged >= said; }

static void run(void) {
    double begun = now();
    launch();
    live(begun + JOIN_SECONDS, all_here);
    if (joined < people) die("only %d of %d could join", joined, people);
    tell("joined %d %.4f\n", joined, now() - begun);
    live(now() + IDLE_SECONDS, never);
    tell("idle\n");
    for (int i = 0; i < senders; i++) let_send(i);
    sending = true;
    send_what_may_be();
    live(now() + warm_up, never);
    tell("begin\n");
    double start = now(), cpu = cpu_seconds();
    measuring = true;
    live(start + seconds, never);
    tell("end\n");
    double span = now() - start;
    cpu = cpu_seconds() - cpu;
    measuring = sending = false;
    live(now() + drain, all_answered);
    report(span, cpu);
}

static void add_server(const char *port) {
    if (server_count == SERVERS) die("at most %d servers", SERVERS);
    struct sockaddr_in *server = &servers[server_count++];
    server->sin_family = AF_INET;
    server->sin_port = htons((uint16_t)atoi(port));
    server->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

int main(int count, char **words) {
    static const struct option options[] = {
        {"port", 1, 0, 'P'},        {"people", 1, 0, 'p'},  {"rooms", 1, 0, 'r'},   {"senders", 1, 0, 's'},
        {"outstanding", 1, 0, 'o'}, {"rate", 1, 0, 'R'},    {"warm-up", 1, 0, 'w'}, {"seconds", 1, 0, 't'},
        {"deflate", 0, 0, 'z'},     {"drain", 1, 0, 'd'},   {0, 0, 0, 0}};
    int option;
    while ((option = getopt_long_only(count, words, "", options, NULL)) != -1) switch (option) {
        case 'P': add_server(optarg); break;
        case 'p': people = atoi(optarg); break;
        case 'r': rooms = atoi(optarg); break;
        case 's': senders = atoi(optarg); break;
        case 'o': outstanding = atoi(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'd': drain = atof(optarg); break;
        case 'z': deflate_offered = true; break;
        default: die("the options are those that bench/scenarios.py gives");
        }
    if (!server_count || people < 1 || rooms < 1 || senders < 1 || senders > people) die("a number makes no sense");
    persons = need(calloc((size_t)people, sizeof *persons));
    in_room = need(calloc((size_t)rooms, sizeof *in_room));
    free_senders = need(calloc((size_t)senders, sizeof *free_senders));
    epoll = epoll_create1(0);
    run();
    return 0;
}
