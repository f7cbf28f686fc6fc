/* Block: bytes of shared memory that this process holds, as a Python buffer. Views of it keep it;
 * with the last of them it goes back to its pool, unless it was sent away. */
#include "port.h"

bool block_take(Port *owner, uint64_t size, struct exo_port_block *block, Limit *limit)
{
    for (;;) {
        int error = exo_port_block_create(owner->port, size, block);
        if (error == 0)
            return true;
        if (error != -EAGAIN) {
            port_error(error);
            return false;
        }
        if (!port_wait(owner, EXO_CHANNEL_BLOCK, size, limit))
            return false;
    }
}

PyObject *block_new(Port *owner, const struct exo_port_block *block, const void *extra,
                    Py_ssize_t extra_size)
{
    PyObject *bytes = extra_size > 0 ? PyBytes_FromStringAndSize(extra, extra_size) : NULL;
    Block *self = bytes == NULL && extra_size > 0 ? NULL : PyObject_New(Block, &Block_Type);
    if (self == NULL) {
        Py_XDECREF(bytes);
        exo_port_block_free(owner->port, block);
        return NULL;
    }
    self->owner = (Port *)Py_NewRef((PyObject *)owner);
    self->extra = bytes;
    self->block = *block;
    self->forks = port_forks;
    self->held = true;
    return (PyObject *)self;
}

static void block_dealloc(Block *self)
{
    if (self->held && self->forks == port_forks) /* else the parent's */
        exo_port_block_free(self->owner->port, &self->block);
    Py_XDECREF(self->extra);
    Py_DECREF((PyObject *)self->owner);
    PyObject_Free(self);
}

static int block_buffer(Block *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self,
                             exo_port_block_at(self->owner->port, &self->block),
                             (Py_ssize_t)self->block.size, 0, flags);
}

static Py_ssize_t block_length(Block *self)
{
    return (Py_ssize_t)self->block.size;
}

static PyObject *block_get_extra(Block *self, void *unused)
{
    (void)unused;
    return self->extra != NULL ? Py_NewRef(self->extra) : PyBytes_FromStringAndSize(NULL, 0);
}

static int block_set_extra(Block *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value == NULL || !PyBytes_CheckExact(value) ||
        PyBytes_GET_SIZE(value) > EXO_CHANNEL_EXTRA) {
        PyErr_Format(PyExc_ValueError, "extra is up to %d bytes", EXO_CHANNEL_EXTRA);
        return -1;
    }
    Py_XSETREF(self->extra, Py_NewRef(value));
    return 0;
}

static PyObject *block_get_held(Block *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->held && self->forks == port_forks);
}

static PyObject *block_get_address(Block *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(exo_port_block_at(self->owner->port, &self->block));
}

static PyObject *block_get_owner(Block *self, void *unused)
{
    (void)unused;
    return Py_NewRef((PyObject *)self->owner);
}

static PyObject *block_copied(Block *self, PyObject *size)
{
    Py_ssize_t bytes = PyNumber_AsSsize_t(size, PyExc_OverflowError);
    if (bytes == -1 && PyErr_Occurred())
        return NULL;
    exo_port_block_count_copy(self->owner->port, &self->block, (uint64_t)bytes);
    Py_RETURN_NONE;
}

/* Read-only memory will do; what is not contiguous is no such buffer. */
static PyObject *block_begins(Block *self, PyObject *object)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS) < 0) {
        PyErr_Clear();
        Py_RETURN_FALSE;
    }
    bool begins = view.buf == exo_port_block_at(self->owner->port, &self->block) &&
                  view.len <= (Py_ssize_t)self->block.size;
    PyBuffer_Release(&view);
    return PyBool_FromLong(begins);
}

static PyMethodDef block_methods[] = {
    {"begins_with", (PyCFunction)block_begins, METH_O,
     "Whether a contiguous buffer lies at its start."},
    {"copied", (PyCFunction)block_copied, METH_O, "Count bytes that were copied into it."},
    {0}};

static PyGetSetDef block_fields[] = {
    {"extra", (getter)block_get_extra, (setter)block_set_extra, "Bytes that go with it.", NULL},
    {"held", (getter)block_get_held, NULL, "Whether it has not been given away.", NULL},
    {"address", (getter)block_get_address, NULL, "Where it is in this process.", NULL},
    {"port", (getter)block_get_owner, NULL, "The port whose block it is.", NULL},
    {0}};

static PyBufferProcs block_buffers = {.bf_getbuffer = (getbufferproc)block_buffer};
static PySequenceMethods block_sequence = {.sq_length = (lenfunc)block_length};

PyTypeObject Block_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "exo_um.bindings._port.Block",
    .tp_basicsize = sizeof(Block),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Shared memory that this process holds; a buffer.",
    .tp_dealloc = (destructor)block_dealloc,
    .tp_methods = block_methods,
    .tp_getset = block_fields,
    .tp_as_buffer = &block_buffers,
    .tp_as_sequence = &block_sequence,
};
