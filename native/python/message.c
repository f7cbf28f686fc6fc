/* Port's calls per message. */
#include <errno.h>
#include <string.h>

#include "port.h"

#define LARGE 65536 /* bytes: worth letting others run while they are copied */

/* A message on its way out: bytes, or a block that is ours until it is sent. */
typedef struct {
    const void *data; /* payload, or what goes beside the block */
    uint32_t size;
    bool has_block, ours;
    struct exo_port_block block;
    Block *given;
    PyObject *object; /* what data points into */
    Py_buffer view;
} Outgoing;

static void copy(void *to, const void *from, size_t size)
{
    if (size < LARGE) {
        memcpy(to, from, size);
        return;
    }
    Py_BEGIN_ALLOW_THREADS memcpy(to, from, size);
    Py_END_ALLOW_THREADS
}

static bool copy_into_block(Port *self, const void *data, Py_ssize_t size, Outgoing *out,
                            Limit *limit)
{
    if (!block_take(self, (uint64_t)size, &out->block, limit))
        return false;
    copy(exo_port_block_at(self->port, &out->block), data, (size_t)size);
    exo_port_block_count_copy(self->port, &out->block, (uint64_t)size);
    out->has_block = out->ours = true;
    return true;
}

static bool set_bytes(Port *self, const char *data, Py_ssize_t size, Outgoing *out, Limit *limit)
{
    if (size > EXO_RING_PAYLOAD)
        return copy_into_block(self, data, size, out, limit);
    out->data = data;
    out->size = (uint32_t)size;
    return true;
}

static void set_extra(const Block *block, Outgoing *out)
{
    out->data = block->extra != NULL ? PyBytes_AS_STRING(block->extra) : "";
    out->size = block->extra != NULL ? (uint32_t)PyBytes_GET_SIZE(block->extra) : 0;
}

/* One of another channel, or of somebody else by now, goes as a copy. */
static bool set_block(Port *self, Block *block, Outgoing *out, Limit *limit)
{
    set_extra(block, out);
    out->has_block = true;
    if (block->owner == self && block->held && block->forks == port_forks) {
        out->block = block->block;
        out->given = block;
        return true;
    }
    return copy_into_block(self, exo_port_block_at(block->owner->port, &block->block),
                           (Py_ssize_t)block->block.size, out, limit);
}

/* Takes over the reference to object. */
static bool set_object(Port *self, PyObject *object, Outgoing *out, Limit *limit)
{
    out->object = object;
    if (PyBytes_CheckExact(object))
        return set_bytes(self, PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object), out, limit);
    if (Py_IS_TYPE(object, &Block_Type))
        return set_block(self, (Block *)object, out, limit);
    if (PyObject_GetBuffer(object, &out->view, PyBUF_SIMPLE) < 0) {
        PyErr_Format(PyExc_TypeError, "this channel carries bytes, not %s",
                     Py_TYPE(object)->tp_name);
        return false;
    }
    return set_bytes(self, out->view.buf, out->view.len, out, limit);
}

static bool prepare(Port *self, PyObject *message, Outgoing *out, Limit *limit)
{
    if (self->encode == NULL)
        return set_object(self, Py_NewRef(message), out, limit);
    PyObject *timeout =
        limit->seconds < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(limit->seconds);
    if (timeout == NULL)
        return false;
    PyObject *arguments[] = {message, timeout};
    PyObject *encoded = PyObject_Vectorcall(self->encode, arguments, 2, NULL);
    Py_DECREF(timeout);
    return encoded != NULL && set_object(self, encoded, out, limit);
}

static bool push(Port *self, Outgoing *out, Limit *limit)
{
    int error;
    for (;;) {
        error = out->has_block ? exo_port_send_block(self->port, &out->block, out->data, out->size)
                               : exo_port_send(self->port, out->data, out->size);
        if (error != -EAGAIN)
            break;
        if (!port_wait(self, EXO_CHANNEL_ROOM, 0, limit))
            return false;
    }
    if (error < 0) {
        port_error(error);
        return false;
    }
    out->ours = false;
    if (out->given != NULL)
        out->given->held = false;
    return true;
}

static bool send_one(Port *self, PyObject *message, Limit *limit)
{
    Outgoing out = {.has_block = false};
    bool done = prepare(self, message, &out, limit) && push(self, &out, limit);
    if (out.ours)
        exo_port_block_free(self->port, &out.block);
    if (out.view.obj != NULL)
        PyBuffer_Release(&out.view);
    Py_XDECREF(out.object);
    return done;
}

/* The arguments of all calls: one of its own, if it `has` one, and a timeout. */
static bool parse(PyObject *const *args, Py_ssize_t count, PyObject *names, Py_ssize_t has,
                  Limit *limit)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (count < has || count + named > has + 1) {
        PyErr_SetString(PyExc_TypeError, "wrong number of arguments");
        return false;
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout")) {
        PyErr_Format(PyExc_TypeError, "no argument is called %R", PyTuple_GET_ITEM(names, 0));
        return false;
    }
    return limit_parse(count + named > has ? args[has] : NULL, limit);
}

/* Somebody of this process may wait for what was sent. */
static PyObject *tell(Port *self)
{
    if (self->sent == NULL)
        Py_RETURN_NONE;
    PyObject *call = Py_NewRef(self->sent), *result = PyObject_CallNoArgs(call);
    Py_DECREF(call);
    Py_XDECREF(result);
    return result == NULL ? NULL : Py_NewRef(Py_None);
}

PyObject *port_send(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Limit limit = {.seconds = -1};
    if (!port_is_ours(self, EXO_CHANNEL_SENDS) ||
        ((count != 1 || names != NULL) && !parse(args, count, names, 1, &limit)))
        return NULL;
    if (self->encode == NULL && PyBytes_CheckExact(args[0]) &&
        PyBytes_GET_SIZE(args[0]) <= EXO_RING_PAYLOAD &&
        exo_port_send(self->port, PyBytes_AS_STRING(args[0]),
                      (uint32_t)PyBytes_GET_SIZE(args[0])) == 0)
        return tell(self);
    return send_one(self, args[0], &limit) ? tell(self) : NULL;
}

PyObject *port_send_many(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Limit limit = {.seconds = -1};
    if (!port_is_ours(self, EXO_CHANNEL_SENDS) || !parse(args, count, names, 1, &limit))
        return NULL;
    PyObject *messages = PySequence_Fast(args[0], "send_many() takes a sequence of messages");
    if (messages == NULL)
        return NULL;
    bool done = true;
    for (Py_ssize_t i = 0; done && i < PySequence_Fast_GET_SIZE(messages); i++) {
        PyObject *message = Py_NewRef(PySequence_Fast_GET_ITEM(messages, i));
        done = send_one(self, message, &limit);
        Py_DECREF(message);
    }
    Py_DECREF(messages);
    return done ? tell(self) : NULL;
}

static bool pop(Port *self, struct exo_port_message *message, Limit *limit)
{
    int error;
    while ((error = exo_port_receive(self->port, message)) == -EAGAIN)
        if (!port_wait(self, EXO_CHANNEL_DATA, 0, limit))
            return false;
    if (error < 0)
        port_error(error);
    return error == 0;
}

static PyObject *raw(Port *self, const struct exo_port_message *message, bool copies)
{
    if (!message->has_block)
        return PyBytes_FromStringAndSize((const char *)message->payload, message->size);
    if (!copies)
        return block_new(self, &message->block, message->payload, message->size);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)message->block.size);
    if (bytes != NULL) {
        copy(PyBytes_AS_STRING(bytes), exo_port_block_at(self->port, &message->block),
             message->block.size);
        exo_port_block_count_copy(self->port, &message->block, message->block.size);
    }
    exo_port_block_free(self->port, &message->block);
    return bytes;
}

static PyObject *cooked(Port *self, const struct exo_port_message *message)
{
    PyObject *data = raw(self, message, self->decode == NULL);
    if (data == NULL || self->decode == NULL)
        return data;
    PyObject *decoded = PyObject_CallOneArg(self->decode, data);
    Py_DECREF(data);
    return decoded;
}

PyObject *port_receive(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct exo_port_message message;
    Limit limit = {.seconds = -1};
    if (!port_is_ours(self, EXO_CHANNEL_RECEIVES) ||
        ((count != 0 || names != NULL) && !parse(args, count, names, 0, &limit)))
        return NULL;
    return pop(self, &message, &limit) ? cooked(self, &message) : NULL;
}

PyObject *port_take(Port *self, PyObject *otherwise)
{
    struct exo_port_message message;
    if (!port_is_ours(self, EXO_CHANNEL_RECEIVES))
        return NULL;
    int error = exo_port_receive(self->port, &message);
    if (error == -EAGAIN)
        return Py_NewRef(otherwise);
    return error < 0 ? port_error(error) : cooked(self, &message);
}

PyObject *port_receive_view(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct exo_port_message message;
    Limit limit = {.seconds = -1};
    if (!port_is_ours(self, EXO_CHANNEL_RECEIVES) || !parse(args, count, names, 0, &limit) ||
        !pop(self, &message, &limit))
        return NULL;
    PyObject *data = raw(self, &message, false);
    PyObject *view = data == NULL ? NULL : PyMemoryView_FromObject(data);
    Py_XDECREF(data);
    return view;
}

PyObject *port_receive_many(Port *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct exo_port_message message;
    Limit limit = {.seconds = -1};
    if (!port_is_ours(self, EXO_CHANNEL_RECEIVES) || !parse(args, count, names, 1, &limit))
        return NULL;
    Py_ssize_t most = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    if (most < 1)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "limit %zd", most);
    PyObject *list = PyList_New(0);
    bool more = list != NULL && pop(self, &message, &limit);
    while (more) {
        PyObject *one = cooked(self, &message);
        if (one == NULL || PyList_Append(list, one) < 0) {
            Py_XDECREF(one);
            break;
        }
        Py_DECREF(one);
        more = PyList_GET_SIZE(list) < most && exo_port_receive(self->port, &message) == 0;
    }
    if (PyErr_Occurred())
        Py_CLEAR(list);
    return list;
}

PyObject *port_next(PyObject *object)
{
    PyObject *message = port_receive((Port *)object, NULL, 0, NULL);
    if (message == NULL && PyErr_ExceptionMatches(ChannelClosed))
        PyErr_Clear(); /* the end of the iteration */
    return message;
}
