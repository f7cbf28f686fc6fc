/* Port: a process's end of a channel. Its calls per message are in message.c. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "port.h"

#define FOREVER UINT64_MAX
#define YIELDS 4

PyObject *port_error(int error)
{
    if (error == -EPIPE || error == -EOWNERDEAD) {
        PyObject *kind = error == -EPIPE ? ChannelClosed : PeerLost;
        const char *text = error == -EPIPE ? "the channel is closed" : "the other end was killed";
        PyObject *arguments = Py_BuildValue("(is)", EPIPE, text);
        if (arguments != NULL)
            PyErr_SetObject(kind, arguments);
        Py_XDECREF(arguments);
        return NULL;
    }
    errno = -error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

bool limit_parse(PyObject *timeout, Limit *limit)
{
    limit->deadline_ns = 0;
    limit->seconds = timeout == NULL || timeout == Py_None ? -1 : PyFloat_AsDouble(timeout);
    if (limit->seconds == -1 && PyErr_Occurred())
        return false;
    if (timeout != NULL && timeout != Py_None && !(limit->seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError, "a timeout is 0 or more seconds");
        return false;
    }
    return true;
}

static uint64_t deadline(Limit *limit)
{
    struct timespec now;
    if (limit->seconds < 0 || limit->seconds > 1e9)
        return FOREVER;
    if (limit->deadline_ns == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        limit->deadline_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec +
                             (uint64_t)(limit->seconds * 1e9);
    }
    return limit->deadline_ns;
}

bool port_is_ours(Port *self, uint32_t role)
{
    if (self->port == NULL || self->left) {
        port_error(-EBADF);
        return false;
    }
    if (self->forks != port_forks) {
        PyObject *done = PyObject_CallMethod(self->memory, "rejoin", NULL);
        if (done == NULL)
            return false;
        Py_DECREF(done);
        self->forks = port_forks;
    }
    exo_port_role(self->port, role);
    return true;
}

/* Nobody of this process could want the GIL meanwhile. */
static bool is_only_thread(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    return PyThreadState_Next(PyInterpreterState_ThreadHead(interpreter)) == NULL;
}

bool port_wait(Port *self, uint32_t what, uint64_t size, Limit *limit)
{
    struct exo_port_wait wait = {.deadline_ns = FOREVER,
                                 .size = size,
                                 .yields = YIELDS,
                                 .control = &port_interrupts,
                                 .seen = __atomic_load_n(&port_interrupts, __ATOMIC_ACQUIRE)};
    bool only = is_only_thread(), ready = false;
    if (limit->seconds == 0) {
        self->full = what;
        self->full_size = size;
        port_error(-EAGAIN);
        return false;
    }
    if (only && exo_port_spin(self->port, what, &wait))
        return true;
    for (;;) {
        int error = 0;
        wait.deadline_ns = deadline(limit);
        Py_BEGIN_ALLOW_THREADS if (!only) ready = exo_port_spin(self->port, what, &wait);
        if (!ready)
            error = exo_port_wait(self->port, what, &wait);
        Py_END_ALLOW_THREADS if (error == 0) return true;
        if (error != -EINTR && error != -ECANCELED) {
            port_error(error);
            return false;
        }
        wait.seen = __atomic_load_n(&port_interrupts, __ATOMIC_ACQUIRE);
        if (PyErr_CheckSignals() < 0 || port_was_interrupted())
            return false;
    }
}

static int port_init(Port *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"address", "memory", "encode", "decode", NULL};
    unsigned long long address;
    PyObject *memory, *encode = Py_None, *decode = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, names, "KO|OO", keywords, &address, &memory, &encode,
                                     &decode))
        return -1;
    self->port = (struct exo_port *)(uintptr_t)address;
    self->forks = port_forks;
    Py_XSETREF(self->memory, Py_NewRef(memory));
    Py_XSETREF(self->encode, encode == Py_None ? NULL : Py_NewRef(encode));
    Py_XSETREF(self->decode, decode == Py_None ? NULL : Py_NewRef(decode));
    return 0;
}

static int port_traverse(Port *self, visitproc visit, void *arg)
{
    Py_VISIT(self->memory);
    Py_VISIT(self->encode);
    Py_VISIT(self->decode);
    Py_VISIT(self->sent);
    return 0;
}

static int port_clear(Port *self)
{
    self->port = NULL;
    Py_CLEAR(self->encode);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->sent);
    Py_CLEAR(self->memory);
    return 0;
}

static void port_dealloc(Port *self)
{
    PyObject_GC_UnTrack(self);
    port_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *port_allocate(Port *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"size", "timeout", NULL};
    Py_ssize_t size;
    PyObject *timeout = NULL;
    struct exo_port_block block;
    Limit limit;
    if (!PyArg_ParseTupleAndKeywords(args, names, "n|O", keywords, &size, &timeout) ||
        !limit_parse(timeout, &limit) || !port_is_ours(self, 0))
        return NULL;
    if (size < 0)
        return PyErr_Format(PyExc_ValueError, "size %zd", size);
    return block_take(self, (uint64_t)size, &block, &limit) ? block_new(self, &block, NULL, 0)
                                                            : NULL;
}

static PyObject *port_close(Port *self, PyObject *unused)
{
    (void)unused;
    if (!port_is_ours(self, 0))
        return NULL;
    exo_ring_close(self->port->ring);
    exo_port_stir(self->port);
    Py_RETURN_NONE;
}

static PyObject *port_detach(Port *self, PyObject *unused)
{
    (void)unused;
    self->left = true;
    Py_RETURN_NONE;
}

static PyObject *port_others(Port *self, PyObject *role)
{
    unsigned long bits = PyLong_AsUnsignedLong(role);
    if ((bits == (unsigned long)-1 && PyErr_Occurred()) || !port_is_ours(self, 0))
        return NULL;
    return PyLong_FromUnsignedLong(exo_port_others(self->port, (uint32_t)bits));
}

static PyObject *port_get_full(Port *self, void *unused)
{
    (void)unused;
    return Py_BuildValue("(IK)", self->full, (unsigned long long)self->full_size);
}

static PyObject *port_get_sent(Port *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->sent != NULL ? self->sent : Py_None);
}

static int port_set_sent(Port *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(self->sent, value == NULL || value == Py_None ? NULL : Py_NewRef(value));
    return 0;
}

static PyGetSetDef port_fields[] = {
    {"full", (getter)port_get_full, NULL, "What the last BlockingIOError was for.", NULL},
    {"sent", (getter)port_get_sent, (setter)port_set_sent, "Called after each message.", NULL},
    {0}};

static Py_ssize_t port_length(Port *self)
{
    return self->port == NULL ? 0 : (Py_ssize_t)exo_ring_count(self->port->ring);
}

/* An empty channel is as true as any. */
static int port_bool(Port *self)
{
    (void)self;
    return 1;
}

#define FAST(name) (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef port_methods[] = {
    {"send", FAST(port_send), "send(message, timeout=None)"},
    {"receive", FAST(port_receive), "receive(timeout=None)"},
    {"receive_view", FAST(port_receive_view), "receive_view(timeout=None)"},
    {"send_many", FAST(port_send_many), "send_many(messages, timeout=None)"},
    {"receive_many", FAST(port_receive_many), "receive_many(limit, timeout=None)"},
    {"take", (PyCFunction)port_take, METH_O, "take(otherwise): a message, if there is one"},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {"allocate_block", (PyCFunction)(void (*)(void))port_allocate, METH_VARARGS | METH_KEYWORDS,
     "allocate_block(size, timeout=None)"},
    {"close", (PyCFunction)port_close, METH_NOARGS, "End sending, for everybody."},
    {"detach", (PyCFunction)port_detach, METH_NOARGS, "Have every further call fail (EBADF)."},
    {"others", (PyCFunction)port_others, METH_O, "How many others may send (1), receive (2)."},
    {0}};

static PySequenceMethods port_sequence = {.sq_length = (lenfunc)port_length};
static PyNumberMethods port_number = {.nb_bool = (inquiry)port_bool};

PyTypeObject Port_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "exo_um.bindings._port.Port",
    .tp_basicsize = sizeof(Port),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "A process's end of a channel.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)port_init,
    .tp_traverse = (traverseproc)port_traverse,
    .tp_clear = (inquiry)port_clear,
    .tp_dealloc = (destructor)port_dealloc,
    .tp_methods = port_methods,
    .tp_getset = port_fields,
    .tp_as_sequence = &port_sequence,
    .tp_as_number = &port_number,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = port_next,
};
