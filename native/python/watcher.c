/* Watcher: a thread that waits as exo_port_wait() does and then writes to an eventfd, for event loops.
 * It waits for nothing until it is armed, so who sends makes a host call for it only then.
 *
 * Rules: the thread never takes the GIL; it and the object share the fields marked T, atomically.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port.h"

#define STACK_SIZE 65536

typedef struct {
    PyObject_HEAD struct exo_port *port;
    PyObject *memory; /* keeps it */
    uint32_t forks;
    uint32_t what;
    uint64_t size;          /* T: EXO_CHANNEL_BLOCK: of how many bytes */
    uint32_t armed, served; /* T: how often it was armed, how often told; served is the thread's */
    uint32_t quit;          /* T */
    int error;              /* T: what the last wait came to */
    int fd;
    bool runs;
    pthread_t thread;
} Watcher;

static void futex(uint32_t *word, int what, uint32_t value)
{
    syscall(SYS_futex, word, what | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* The armed count that is not served yet; 0: quit. */
static uint32_t next_order(Watcher *self)
{
    for (;;) {
        uint32_t armed = __atomic_load_n(&self->armed, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&self->quit, __ATOMIC_ACQUIRE))
            return 0;
        if (armed != self->served)
            return armed;
        futex(&self->armed, FUTEX_WAIT, armed);
    }
}

static void *watch(void *object)
{
    Watcher *self = object;
    uint32_t order;
    while ((order = next_order(self)) != 0) {
        struct exo_port_wait wait = {.deadline_ns = UINT64_MAX,
                                     .size = __atomic_load_n(&self->size, __ATOMIC_ACQUIRE),
                                     .control = &self->armed,
                                     .seen = order};
        int error = exo_port_wait(self->port, self->what, &wait);
        if (error == -ECANCELED || error == -EINTR)
            continue;
        __atomic_store_n(&self->error, error, __ATOMIC_RELEASE);
        self->served = order;
        eventfd_write(self->fd, 1);
    }
    return NULL;
}

static int start(Watcher *self)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, &attributes, watch, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    self->runs = error == 0;
    return -error;
}

static int watcher_init(Watcher *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"port", "what", NULL};
    PyObject *port;
    if (self->memory != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a watcher is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!I", keywords, &Port_Type, &port, &self->what))
        return -1;
    if (!port_is_ours((Port *)port, 0))
        return -1;
    self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->port = ((Port *)port)->port;
    self->memory = Py_NewRef(((Port *)port)->memory);
    self->forks = port_forks;
    int error = self->fd < 0 ? -errno : start(self);
    if (error < 0)
        port_error(error);
    return error < 0 ? -1 : 0;
}

/* The count's lowest bit is always set, so that it is never 0. */
static PyObject *watcher_arm(Watcher *self, PyObject *size)
{
    unsigned long long bytes = PyLong_AsUnsignedLongLong(size);
    if (bytes == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    __atomic_store_n(&self->size, bytes, __ATOMIC_RELEASE);
    __atomic_store_n(&self->armed, (self->armed + 2) | 1, __ATOMIC_RELEASE);
    futex(&self->armed, FUTEX_WAKE, INT_MAX);
    Py_RETURN_NONE;
}

static PyObject *watcher_taken(Watcher *self, PyObject *unused)
{
    eventfd_t count;
    (void)unused;
    eventfd_read(self->fd, &count);
    int error = __atomic_exchange_n(&self->error, 0, __ATOMIC_ACQ_REL);
    if (error < 0)
        return port_error(error);
    Py_RETURN_NONE;
}

static PyObject *watcher_fileno(Watcher *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->fd);
}

static PyObject *watcher_close(Watcher *self, PyObject *unused)
{
    (void)unused;
    if (self->runs && self->forks == port_forks) { /* a child has the object, not the thread */
        __atomic_store_n(&self->quit, 1, __ATOMIC_RELEASE);
        __atomic_store_n(&self->armed, (self->armed + 2) | 1, __ATOMIC_RELEASE);
        futex(&self->armed, FUTEX_WAKE, INT_MAX);
        Py_BEGIN_ALLOW_THREADS pthread_join(self->thread, NULL);
        Py_END_ALLOW_THREADS
    }
    self->runs = false;
    if (self->memory != NULL && self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    Py_RETURN_NONE;
}

static void watcher_dealloc(Watcher *self)
{
    if (self->memory != NULL)
        Py_DECREF(watcher_close(self, NULL));
    Py_XDECREF(self->memory);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef watcher_methods[] = {
    {"arm", (PyCFunction)watcher_arm, METH_O, "arm(size): have fileno() readable once it is time."},
    {"taken", (PyCFunction)watcher_taken, METH_NOARGS,
     "Make it unreadable; raise what went wrong."},
    {"fileno", (PyCFunction)watcher_fileno, METH_NOARGS, "The eventfd."},
    {"close", (PyCFunction)watcher_close, METH_NOARGS, "End the thread."},
    {0}};

PyTypeObject Watcher_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "exo_um.bindings._port.Watcher",
    .tp_basicsize = sizeof(Watcher),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Watcher(port, what): a thread that waits, for an event loop.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)watcher_init,
    .tp_dealloc = (destructor)watcher_dealloc,
    .tp_methods = watcher_methods,
};
