/* identity/statefile.h - what the files of the state directory have in common. */
#ifndef IDENTITY_STATEFILE_H
#define IDENTITY_STATEFILE_H

#include "base/err.h"

enum { STATEFILE_PATH_MAX = 1024 };

/* Blocks until the entry of `path` in its folder is on the disk. ERR_IO, ERR_LIMIT. */
enum err statefile_sync_folder(const char *path);

#endif
