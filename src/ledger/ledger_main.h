/* ledger/ledger_main.h - the ledger's process: channel messages to calls of ledger/ledger.h. */
#ifndef LEDGER_LEDGER_MAIN_H
#define LEDGER_LEDGER_MAIN_H

/* The process: takes its orders from the supervisor over `channel`. Returns the exit status. */
int ledger_run(int channel);

#endif
