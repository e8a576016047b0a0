/* main.c - darkroom, the client. */
#include "cli/command.h"

int main(int argc, char **argv) { return command_run(argc, argv); }
