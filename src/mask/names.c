#include "mask/names.h"

const char *const mask_detector_names[] = {"email", "phone", "us-ssn",      "card",
                                           "iban",  "jwt",   "private-key", "cloud-key",
                                           "ipv4",  "ipv6",  NULL};

bool
mask_detector_known(struct str name)
{
    for (const char *const *known = mask_detector_names; *known != NULL; known++)
        if (str_is(name, *known))
            return true;
    return false;
}
