/* The module exo_um.bindings._port. */
#include <pthread.h>

#include "port.h"

PyObject *ChannelClosed, *PeerLost;
uint32_t port_forks;

static void count_fork(void)
{
    port_forks++;
}

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "exo_um.bindings._port", .m_size = -1,
    .m_doc = "Channels' ends, blocks and watchers; see exo_um.std."};

static bool add_errors(PyObject *to)
{
    ChannelClosed = PyErr_NewExceptionWithDoc(
        "exo_um.std.ChannelClosed", "Nothing more comes, or nobody takes it any more (EPIPE).",
        PyExc_BrokenPipeError, NULL);
    PeerLost = PyErr_NewExceptionWithDoc(
        "exo_um.std.PeerLost", "As ChannelClosed, and one at the other end was killed (EPIPE).",
        PyExc_BrokenPipeError, NULL);
    return ChannelClosed != NULL && PeerLost != NULL &&
           PyModule_AddObjectRef(to, "ChannelClosed", ChannelClosed) == 0 &&
           PyModule_AddObjectRef(to, "PeerLost", PeerLost) == 0;
}

PyMODINIT_FUNC PyInit__port(void); /* as the interpreter looks it up */

PyMODINIT_FUNC PyInit__port(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || pthread_atfork(NULL, NULL, count_fork) != 0 || !add_errors(made) ||
        PyModule_AddType(made, &Port_Type) < 0 || PyModule_AddType(made, &Block_Type) < 0 ||
        PyModule_AddType(made, &Watcher_Type) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
