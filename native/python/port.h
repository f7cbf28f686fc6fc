/* CPython types over a struct exo_port: Port, Block, Watcher. One method call per message, as cffi
 * takes longer than the message does. Everything that happens once is Python's, through cffi.
 *
 * Rules: the GIL is held but where something may wait; then only the port's memory is touched.
 */
#ifndef EXO_PYTHON_PORT_H
#define EXO_PYTHON_PORT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exo/channel.h>

/* memory: whoever keeps the struct and what it leads to; let go with the last block. */
typedef struct {
    PyObject_HEAD struct exo_port *port;
    PyObject *memory, *encode, *decode;
    PyObject *sent; /* called after a message was sent, or NULL: somebody of this process waits */
    uint32_t forks; /* as many as when the process joined */
    uint32_t full;  /* what a call that may not wait would have waited for, and how much of it */
    uint64_t full_size;
    bool left; /* no calls any more */
} Port;

typedef struct {
    PyObject_HEAD Port *owner;
    PyObject *extra; /* bytes that go with it, or NULL */
    struct exo_port_block block;
    uint32_t forks;
    bool held; /* not given away yet */
} Block;

/* How long a call may take. */
typedef struct {
    double seconds; /* < 0: for ever */
    uint64_t deadline_ns;
} Limit;

extern PyTypeObject Port_Type, Block_Type, Watcher_Type;
extern PyObject *ChannelClosed, *PeerLost;
extern uint32_t port_interrupts; /* a futex that every wait watches */
/* Lets an exception arrive that another thread has raised in this one; false: one has. */
bool port_was_interrupted(void);
extern uint32_t port_forks; /* of this process, from its first ancestor on */

/* NULL, with the exception that belongs to -error. */
PyObject *port_error(int error);
/* false: an exception is set. */
bool limit_parse(PyObject *timeout, Limit *limit);
/* Joins anew after a fork; false: an exception is set. */
bool port_is_ours(Port *self, uint32_t role);
/* Until `what` is worth another try; false: an exception is set. */
bool port_wait(Port *self, uint32_t what, uint64_t size, Limit *limit);

PyObject *block_new(Port *owner, const struct exo_port_block *block, const void *extra,
                    Py_ssize_t extra_size);
/* Takes a free block, waiting for one; false: an exception is set. */
bool block_take(Port *owner, uint64_t size, struct exo_port_block *block, Limit *limit);

/* What is called per message. */
PyObject *port_send(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *port_receive(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *port_receive_view(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *port_send_many(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *port_receive_many(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *port_take(Port *self, PyObject *otherwise);
PyObject *port_next(PyObject *self);

#endif
