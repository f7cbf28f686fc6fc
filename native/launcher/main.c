/* exo-um: starts the Python kernel of the virtual environment that this binary lies in.
 *
 * Not a console script: those pay for site-packages' .pth files and for the environment's
 * look-up, half of an interpreter's start. -I also keeps PYTHON* variables, which are meant for
 * Python guests, away from the kernel. Python ignores SIGPIPE and SIGXFSZ before any of our code
 * runs: what the caller wanted is said in -X ignored, as bits number - 1.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Without the interpreter's own end, which would take a tenth of the whole of a short run. */
static const char start[] =
    "import os, sys; sys.argv[0] = 'exo-um'; sys.path.append(sys.argv.pop(1)); "
    "from exo_um.cli import finished; os._exit(finished())";

static unsigned long bit_if_ignored(int number)
{
    struct sigaction action;
    bool ignored = sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    return ignored ? 1UL << (number - 1) : 0;
}

int main(int argc, char **argv)
{
    char root[PATH_MAX];
    char python[PATH_MAX + 32];
    char packages[PATH_MAX + 64];
    ssize_t size = readlink("/proc/self/exe", root, sizeof root - 1);
    if (size < 0) {
        fprintf(stderr, "exo-um: /proc/self/exe: %s\n", strerror(errno));
        return 127;
    }
    root[size] = '\0';
    for (int i = 0; i < 2; i++) { /* <root>/bin/exo-um */
        char *slash = strrchr(root, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    snprintf(python, sizeof python, "%s/bin/" EXO_PYTHON, root);
    snprintf(packages, sizeof packages, "%s/lib/" EXO_PYTHON "/site-packages", root);

    char ignored[40];
    snprintf(ignored, sizeof ignored, "ignored=%lu",
             bit_if_ignored(SIGPIPE) | bit_if_ignored(SIGXFSZ));

    char *args[12 + (argc > 0 ? argc : 1)];
    int count = 0;
    args[count++] = python;
    args[count++] = "-I";
    args[count++] = "-S";
    args[count++] = "-X";
    args[count++] = "frozen_modules=on";
    args[count++] = "-X";
    args[count++] = ignored;
    args[count++] = "-c";
    args[count++] = (char *)start;
    args[count++] = packages;
    for (int i = 1; i < argc; i++)
        args[count++] = argv[i];
    args[count] = NULL;
    execv(python, args);
    fprintf(stderr, "exo-um: %s: %s; install exo-um into a virtual environment (make run does)\n",
            python, strerror(errno));
    return 127;
}
