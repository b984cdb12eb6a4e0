#include "mask/detect_builtin.h"

#include "mask/detect.h"
#include "mask/detect_check.h"

const char *const detect_builtin[] = {"email",       "phone",     "us-ssn", "card", "iban", "jwt",
                                      "private-key", "cloud-key", "ipv4",   "ipv6", NULL};

const unsigned short detect_bytes[256] = {
    ['0' ... '9'] = DETECT_DIGIT,
    ['A' ... 'F'] = DETECT_LETTER | DETECT_HEX,
    ['a' ... 'f'] = DETECT_LETTER | DETECT_HEX,
    ['G' ... 'Z'] = DETECT_LETTER,
    ['g' ... 'z'] = DETECT_LETTER,
    ['-'] = DETECT_DASH,
    ['.'] = DETECT_DOT,
    ['_'] = DETECT_UNDERSCORE,
    [' '] = DETECT_SPACE,
    [':'] = DETECT_COLON,
    ['+'] = DETECT_DIAL | DETECT_MAIL,
    ['('] = DETECT_DIAL,
    [')'] = DETECT_DIAL,
    ['%'] = DETECT_MAIL,
    ['\''] = DETECT_MAIL,
    ['@'] = DETECT_MAIL,
    ['/'] = DETECT_SLASH,
    ['~'] = DETECT_TILDE,
};
#define WITHIN_WORD   (DETECT_DIGIT | DETECT_LETTER)
#define WITHIN_TOKEN  (WITHIN_WORD | DETECT_DASH | DETECT_UNDERSCORE)
#define WITHIN_MAIL   (WITHIN_TOKEN | DETECT_DOT | DETECT_MAIL)

#define TRIGGERS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Not within a word or a longer number; vectorscan has no look-behind, so triggers take the
 * character before. */
#define START         "(?:^|[^0-9A-Za-z])"
#define NOT_WORD      "(?<![0-9A-Za-z])"
#define WORD_END      "(?![0-9A-Za-z])"

/* --- email: RFC 5322's dot-atom as it is used; RFC 1035 names --- */

#define EMAIL                                                                                      \
    "[0-9A-Za-z_][0-9A-Za-z._%+'-]{0,63}+(?<![.'])@"                                               \
    "(?:[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?\\.){1,6}"                                    \
    "(?:[A-Za-z]{2,24}|xn--[0-9A-Za-z-]{2,59})" WORD_END "(?!-[0-9A-Za-z])"

/* --- phone: E.164 with a plus; the North American plan with separators --- */

#define NANP "(?:\\([2-9](?!11)\\d\\d\\) ?|[2-9](?!11)\\d\\d[ .-])[2-9](?!11)\\d\\d[ .-]\\d{4}"
#define PHONE                                                                                      \
    "(?<![0-9A-Za-z+])\\+[1-9](?:[ .-]{0,2}(?:\\(\\d{1,4}\\)|\\d)){6,14}(?!\\d)"                   \
    "|(?<![0-9A-Za-z+])(?<!\\d[ .-])(?:1[ .-])?" NANP WORD_END "(?![ .-]\\d)"

/* --- SSN: what the administration gives out; nine digits alone only where it says what they are */

#define SSN_WORDS "(?i:ssn|social.security)[^0-9\\r\\n]{0,20}"
#define SSN                                                                                        \
    NOT_WORD "(?<!\\d[.-])(?!000|666|9)\\d{3}([ -])(?!00)\\d\\d\\1(?!0000)\\d{4}" WORD_END         \
             "(?![.-]\\d)"
#define SSN_NAMED SSN_WORDS "\\K(?!000|666|9)\\d{3}(?!00)\\d\\d(?!0000)\\d{4}" WORD_END

/* --- cards: in one piece, or in the groups that are embossed --- */

#define CARD                                                                                       \
    NOT_WORD                                                                                       \
    "(?<!\\d[.-])(?<![0-9A-Fa-f]{4}-)(?:[2-6]\\d{12,18}"                                           \
    "|[2-6]\\d{3}(?:[ -]\\d{4}){3}(?:[ -]\\d{1,3})?|3\\d{3}[ -]\\d{6}[ -]\\d{4,5})" WORD_END       \
    "(?!\\.\\d)"

/* --- IBAN: in one piece or in groups of four; the check knows where it ends --- */

#define IBAN                                                                                       \
    NOT_WORD "[A-Za-z]{2}\\d\\d(?:[ -]?[0-9A-Za-z]{4}){2,7}(?:[ -]?[0-9A-Za-z]{1,3})?"             \
             "(?=(?s:.)|\\z)"

/* --- JWT: RFC 7515 §3.1, RFC 7516 §3.1. An object's "{" in base64url, as it is written --- */

#define JWT_START "(?:eyJ|eyA|ewo|ew0)"
#define JWT_PART  "[0-9A-Za-z_-]"
#define JWT                                                                                        \
    "(?<![0-9A-Za-z_-])" JWT_START JWT_PART "{13,2045}+\\.(?:" JWT_PART "{2,4000}+\\.|" JWT_PART   \
    "{4001})" JWT_PART "{0,1000}+(?:\\." JWT_PART "{1,500}+){0,2}(?=(?s:.)|\\z)"

/* --- private keys: RFC 7468, and SSH's four dashes; the same once more in base64 --- */

#define PEM "-{4,5} ?BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
#define PEM_BASE64                                                                                 \
    "LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFW|BSU0EgUFJJVkFURSBLRV|BFQyBQUklWQVRFIEtFW|"                   \
    "BPUEVOU1NIIFBSSVZBVEUgS0V|BFTkNSWVBURUQgUFJJVkFURSBLRV|BEU0EgUFJJVkFURSBLRV)"

/* --- keys that say whose they are --- */

#define TOKEN  "[0-9A-Za-z_-]"
#define AWS    "(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|AGPA|AIPA|ANPA|ANVA)[0-9A-Z]{16}"
#define SECRET "(?i)secret_?access_?key"
#define CLOUD_KEY                                                                                  \
    NOT_WORD "(?:" AWS WORD_END "|AIza" TOKEN "{35}(?!" TOKEN ")"                                  \
             "|ya29\\." TOKEN "{20,1000}|GOCSPX-" TOKEN "{28}(?!" TOKEN ")"                        \
             "|gh[opusr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{36,255}"                      \
             "|glpat-" TOKEN "{20,300}"                                                            \
             "|xox[abeoprs]-[0-9A-Za-z-]{10,250}|xapp-\\d-[0-9A-Za-z-]{20,250}"                    \
             "|hooks\\.slack\\.com/(?:services|workflows)/\\K[0-9A-Za-z/_-]{20,120}"               \
             "|[rs]k_(?:live|test)_[0-9A-Za-z]{16,250}|whsec_[0-9A-Za-z/+]{32,128}"                \
             "|sk-(?:(?:proj|svcacct|admin|ant)-" TOKEN "{20,300}"                                 \
             "|[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20})"                                            \
             "|SG\\." TOKEN "{22}\\." TOKEN "{43}"                                                 \
             "|npm_[0-9A-Za-z]{36}" WORD_END "|pypi-AgE" TOKEN "{50,1000}"                         \
             "|hf_[A-Za-z]{34}" WORD_END "|do[opr]_v1_[0-9a-f]{64}"                                \
             "|dapi[0-9a-f]{32}(?:-\\d)?" WORD_END "|shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}"           \
             "|hv[bsr]\\." TOKEN "{24,300})"
/* Those whose own form says little, behind what says what they are. */
#define NAMED_KEY                                                                                  \
    SECRET "[\"' ]{0,3}[:=][\"' ]{0,3}\\K[0-9A-Za-z/+]{40}(?![0-9A-Za-z/+=])"                      \
           "|(?-i:AccountKey=\\K[0-9A-Za-z/+]{86}==|SharedAccessKey=\\K[0-9A-Za-z/+]{43}="         \
           "|[?&]sig=\\K[0-9A-Za-z/+%]{40,120}=?"                                                  \
           "|(?:FwoGZXIvYXdzE|IQoJb3JpZ2luX2V)[0-9A-Za-z/+=]{100,2000})"
#define AZURE_SECRET                                                                               \
    "(?<![0-9A-Za-z_~.-])[0-9A-Za-z_~.-]{3}8Q~[0-9A-Za-z_~.-]{31,34}(?![0-9A-Za-z_~-])"

/* --- IPv4 and IPv6 --- */

#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4                                                                                       \
    "(?<![0-9A-Za-z_.])(?<!ersion )(?<!elease )(?:" OCTET "\\.){3}" OCTET                          \
    "(?![0-9A-Za-z_]|\\.[0-9A-Za-z])"
#define IPV6                                                                                       \
    "(?<![0-9A-Za-z_.])(?<![0-9A-Fa-f:]:)(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,45}+"                 \
    "(?:\\.\\d{1,3}){0,3}(?![0-9A-Za-z_:])"

/* The shapes of one detector stand together, detectors in the order of detect_builtin. */
const struct detect_shape detect_shapes[] = {
    {.detector = "email",
     .triggers = TRIGGERS("[0-9A-Za-z_%+-]@[0-9A-Za-z]"),
     .expression = EMAIL,
     .back = 66,
     .within = WITHIN_MAIL,
     .needs = {{.ats = 1, .dots = 1, .letters = 2, .alnums = 4}},
     .check = detect_check_email},
    {.detector = "phone",
     .triggers = TRIGGERS("\\+[1-9](?:[ .()-]{0,3}\\d){6}",
                          START "\\(?[2-9]\\d\\d(?:\\) ?|[ .-])[2-9]\\d\\d[ .-]\\d{4}"),
     .expression = PHONE,
     .back = 32,
     .within = DETECT_DIGIT | DETECT_SPACE | DETECT_DASH | DETECT_DOT | DETECT_DIAL,
     .needs = {{.pluses = 1, .digits = 8}, {.digits = 10}},
     .check = detect_check_phone},
    {.detector = "us-ssn",
     .triggers = TRIGGERS(START "\\d{3}[ -]\\d\\d[ -]\\d{4}"),
     .expression = SSN,
     .back = 11,
     .within = DETECT_DIGIT | DETECT_SPACE | DETECT_DASH,
     .needs = {{.digits = 9}}},
    {.detector = "us-ssn",
     .triggers = TRIGGERS(SSN_WORDS "\\d{9}"),
     .expression = SSN_NAMED,
     .back = 44,
     .needs = {{.digits = 9, .letters = 3}}},
    {.detector = "card",
     .triggers = TRIGGERS(START "[2-6]\\d{12}", START "[2-6]\\d{3}(?:[ -]\\d{4}){2}[ -]\\d",
                          START "3\\d{3}[ -]\\d{6}[ -]\\d{4}"),
     .expression = CARD,
     .back = 18,
     .within = DETECT_DIGIT | DETECT_SPACE | DETECT_DASH,
     .needs = {{.digits = 13}},
     .check = detect_check_card},
    {.detector = "iban",
     .triggers = TRIGGERS(START "[A-Za-z]{2}\\d\\d[ -]?[0-9A-Za-z]{4}[ -]?[0-9A-Za-z]{4}"),
     .expression = IBAN,
     .back = 14,
     .within = WITHIN_WORD | DETECT_SPACE | DETECT_DASH,
     .needs = {{.letters = 2, .digits = 2, .alnums = 15}},
     .check = detect_check_iban},
    {.detector = "jwt",
     .triggers = TRIGGERS(JWT_START JWT_PART "{13}"),
     .expression = JWT,
     .back = 16,
     .follow = DETECT_FOLLOW_TOKEN,
     .within = WITHIN_TOKEN,
     .needs = {{.dots = 2, .letters = 2, .alnums = 16}},
     .check = detect_check_jwt},
    {.detector = "private-key",
     .triggers = TRIGGERS("BEGIN [0-9A-Z ]{0,40}PRIVATE KEY"),
     .expression = PEM,
     .back = 64,
     .follow = DETECT_FOLLOW_PEM,
     .needs = {{.dashes = 8, .letters = 15}}},
    {.detector = "private-key",
     .triggers = TRIGGERS("LS0tLS1CRUdJTi[A-Za-z0-9]{17}"),
     .expression = PEM_BASE64,
     .back = 31,
     .within = WITHIN_WORD,
     .follow = DETECT_FOLLOW_BASE64,
     .needs = {{.letters = 12, .alnums = 29}}},
    {.detector = "cloud-key",
     .triggers = TRIGGERS(AWS, "AIza" TOKEN "{20}", "ya29\\." TOKEN "{20}", "GOCSPX-" TOKEN "{20}",
                          "gh[opusr]_[0-9A-Za-z]{20}", "github_pat_[0-9A-Za-z_]{20}",
                          "glpat-" TOKEN "{20}", "xox[abeoprs]-[0-9A-Za-z-]{10}",
                          "xapp-\\d-[0-9A-Za-z-]{20}", "hooks\\.slack\\.com/",
                          "[rs]k_(?:live|test)_[0-9A-Za-z]{16}", "whsec_[0-9A-Za-z/+]{20}",
                          "sk-(?:proj|svcacct|admin|ant)-" TOKEN "{20}", "T3BlbkFJ[0-9A-Za-z]{20}",
                          "SG\\." TOKEN "{22}\\.", "npm_[0-9A-Za-z]{20}", "pypi-AgE" TOKEN "{20}",
                          "hf_[A-Za-z]{20}", "do[opr]_v1_[0-9a-f]{20}", "dapi[0-9a-f]{20}",
                          "shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{20}", "hv[bsr]\\." TOKEN "{20}"),
     .expression = CLOUD_KEY,
     .back = 56,
     .within = WITHIN_TOKEN | DETECT_DOT | DETECT_SLASH,
     .needs = {{.letters = 3, .alnums = 14}}},
    {.detector = "cloud-key",
     .triggers = TRIGGERS(SECRET, "AccountKey=", "SharedAccessKey=", "[?&]sig=", "FwoGZXIvYXdzE",
                          "IQoJb3JpZ2luX2V"),
     .expression = NAMED_KEY,
     .back = 18,
     .needs = {{.letters = 3, .alnums = 34}}},
    {.detector = "cloud-key",
     .triggers = TRIGGERS("8Q~[0-9A-Za-z_~.-]{20}"),
     .expression = AZURE_SECRET,
     .back = 26,
     .within = WITHIN_TOKEN | DETECT_DOT | DETECT_TILDE,
     .needs = {{.letters = 1, .alnums = 14}}},
    {.detector = "ipv4",
     .triggers = TRIGGERS("(?:^|[^0-9A-Za-z_.])\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d"),
     .expression = IPV4,
     .back = 14,
     .within = DETECT_DIGIT | DETECT_DOT,
     .needs = {{.dots = 3, .digits = 4}}},
    {.detector = "ipv6",
     .triggers = TRIGGERS("::[0-9A-Fa-f]", "[0-9A-Fa-f]::",
                          "(?:^|[^0-9A-Za-z_.])(?:[0-9A-Fa-f]{1,4}:){6}[0-9A-Fa-f]"),
     .expression = IPV6,
     .back = 45,
     .within = DETECT_DIGIT | DETECT_HEX | DETECT_COLON | DETECT_DOT,
     .needs = {{.colons = 2, .alnums = 1}},
     .check = detect_check_ipv6},
};
const size_t detect_n_shapes = sizeof(detect_shapes) / sizeof(detect_shapes[0]);

size_t
detect_shape_reach(const struct detect_shape *shape, struct str value, size_t end)
{
    size_t least = end > shape->back ? end - shape->back : 0;

    if (shape->within == 0)
        return least;
    while (end > least && (detect_bytes[(unsigned char)value.ptr[end - 1]] & shape->within) != 0)
        end--;
    return end;
}

size_t
detect_need_bytes(const struct detect_need *need)
{
    size_t words = need->digits + need->letters;

    if (words < need->alnums)
        words = need->alnums;
    return words + need->ats + need->dots + need->colons + need->dashes + need->pluses;
}
