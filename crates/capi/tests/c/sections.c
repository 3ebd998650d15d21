// Critical sections: what they link, and that they let go.

#include <string.h>

#include "host.h"
#include "tests.h"

void
test_section(void)
{
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    PyObject a = {{0}};
    PyCriticalSection c;
    PyCriticalSection_Begin(&c, &a);
    CHECK(a.ob_mutex._bits == _Py_LOCKED);
    CHECK(tstate->critical_section == (uintptr_t)&c);
    CHECK(c._cs_prev == 0 && c._cs_mutex == &a.ob_mutex);
    PyCriticalSection_End(&c);
    CHECK(a.ob_mutex._bits == _Py_UNLOCKED && tstate->critical_section == 0);
}

void
test_section2(void)
{
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    PyObject objects[2] = {{{0}}, {{0}}};
    PyCriticalSection2 c;
    PyCriticalSection2_Begin(&c, &objects[1], &objects[0]);
    CHECK(tstate->critical_section == ((uintptr_t)&c | _Py_CRITICAL_SECTION_TWO_MUTEXES));
    CHECK(c._cs_base._cs_mutex == &objects[0].ob_mutex);
    CHECK(c._cs_mutex2 == &objects[1].ob_mutex);
    CHECK(objects[0].ob_mutex._bits == 1 && objects[1].ob_mutex._bits == 1);
    PyCriticalSection2_End(&c);
    CHECK(objects[0].ob_mutex._bits == 0 && objects[1].ob_mutex._bits == 0);

    // Callers in C do not initialise it.
    memset(&c, 0xff, sizeof(c));
    PyCriticalSection2_Begin(&c, &objects[0], &objects[0]);
    CHECK(c._cs_mutex2 == NULL && tstate->critical_section == (uintptr_t)&c);
    PyCriticalSection2_End(&c);
    CHECK(objects[0].ob_mutex._bits == 0 && tstate->critical_section == 0);

    // What an inlined begin calls, with the first mutex locked or not.
    for (int is_m1_locked = 0; is_m1_locked <= 1; is_m1_locked++) {
        if (is_m1_locked) {
            PyMutex_Lock(&objects[0].ob_mutex);
        }
        _PyCriticalSection2_BeginSlow(&c, &objects[0].ob_mutex, &objects[1].ob_mutex, is_m1_locked);
        CHECK(objects[0].ob_mutex._bits == 1 && objects[1].ob_mutex._bits == 1);
        CHECK(c._cs_base._cs_mutex == &objects[0].ob_mutex);
        PyCriticalSection2_End(&c);
        CHECK(objects[0].ob_mutex._bits == 0 && objects[1].ob_mutex._bits == 0);
    }
}

// 3.13 has no shortcut for a mutex that the top section holds: the inner section blocks on it,
// detaches, suspends the outer and so unparks itself. C callers end it without a look.
void
test_section_twice(void)
{
    PyObject a = {{0}};
    PyCriticalSection outer, inner;
    int before = atomic_load(&detached);
    PyCriticalSection_Begin(&outer, &a);
    PyCriticalSection_Begin(&inner, &a);
    CHECK(atomic_load(&detached) == before + 1);
    CHECK(inner._cs_mutex == &a.ob_mutex);
    CHECK(inner._cs_prev == ((uintptr_t)&outer | _Py_CRITICAL_SECTION_INACTIVE));
    PyMutex_Unlock(inner._cs_mutex);
    // The rest of the inlined end.
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    tstate->critical_section = inner._cs_prev;
    _PyCriticalSection_Resume(tstate);
    CHECK(a.ob_mutex._bits == _Py_LOCKED);
    CHECK(tstate->critical_section == (uintptr_t)&outer);
    PyCriticalSection_End(&outer);
    CHECK(a.ob_mutex._bits == _Py_UNLOCKED && tstate->critical_section == 0);
}

void
test_section_suspends(void)
{
    PyObject a = {{0}}, b = {{0}};
    PyCriticalSection outer, inner;
    PyCriticalSection_Begin(&outer, &a);
    PyCriticalSection_Begin(&inner, &b);
    host_detach();
    CHECK(a.ob_mutex._bits == 0 && b.ob_mutex._bits == 0);
    host_attach();
    // The innermost alone, and the outer when it is the innermost.
    CHECK(a.ob_mutex._bits == 0 && b.ob_mutex._bits == _Py_LOCKED);
    PyCriticalSection_End(&inner);
    CHECK(a.ob_mutex._bits == _Py_LOCKED && b.ob_mutex._bits == 0);
    PyCriticalSection_End(&outer);
    CHECK(a.ob_mutex._bits == 0);
}

struct nest {
    PyObject a, b;
    long under_a;
    atomic_int turn;
};

static void
nest_either_way(void *arg)
{
    struct nest *nest = arg;
    int turn = atomic_fetch_add(&nest->turn, 1);
    PyObject *first = turn % 2 ? &nest->a : &nest->b;
    PyObject *second = turn % 2 ? &nest->b : &nest->a;
    for (int i = 0; i < 500; i++) {
        PyCriticalSection outer, inner;
        PyCriticalSection2 both;
        PyCriticalSection_Begin(&outer, first);
        PyCriticalSection_Begin(&inner, second);
        PyCriticalSection_End(&inner);
        PyCriticalSection_End(&outer);
        PyCriticalSection2_Begin(&both, first, second);
        nest->under_a++;
        PyCriticalSection2_End(&both);
    }
}

void
test_sections_in_opposite_orders(void)
{
    static struct nest nest;
    run_threads(4, nest_either_way, &nest);
    CHECK(nest.under_a == 4 * 500);
    CHECK(nest.a.ob_mutex._bits == 0 && nest.b.ob_mutex._bits == 0);
}
