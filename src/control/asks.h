/* control/asks.h - control's conversation with the keeper: what it asks (control.h has the
 * questions), and what the keeper says and asks. */
#ifndef CONTROL_ASKS_H
#define CONTROL_ASKS_H

#include "control/state.h"

/* Serves another channel to the keeper, adopted, in the place of the one before. */
enum err asks_meet_keeper(struct control *c, int channel);

#endif
