/* The module exo_um.bindings._port. */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port.h"

PyObject *ChannelClosed, *PeerLost;
uint32_t port_forks, port_interrupts;
static PyObject *nothing; /* a Python function that does nothing */

static void count_fork(void)
{
    port_forks++;
}

/* The interpreter raises such an exception only where Python code runs. */
bool port_was_interrupted(void)
{
    PyObject *result = PyObject_CallNoArgs(nothing);
    Py_XDECREF(result);
    return result == NULL;
}

static PyObject *interrupt(PyObject *self, PyObject *args)
{
    unsigned long thread;
    PyObject *exception;
    (void)self;
    if (!PyArg_ParseTuple(args, "kO:interrupt", &thread, &exception))
        return NULL;
    int count = PyThreadState_SetAsyncExc(thread, exception);
    __atomic_fetch_add(&port_interrupts, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &port_interrupts, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return PyBool_FromLong(count > 0);
}

static PyMethodDef functions[] = {
    {"interrupt", interrupt, METH_VARARGS,
     "interrupt(thread, exception): raise it in a thread, also where that waits for a channel."},
    {0}};

static bool make_nothing(void)
{
    PyObject *names = PyDict_New();
    nothing = names == NULL ? NULL : PyRun_String("lambda: None", Py_eval_input, names, names);
    Py_XDECREF(names);
    return nothing != NULL;
}

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "exo_um.bindings._port", .m_size = -1, .m_methods = functions,
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
        !make_nothing() || PyModule_AddType(made, &Port_Type) < 0 ||
        PyModule_AddType(made, &Block_Type) < 0 || PyModule_AddType(made, &Watcher_Type) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
