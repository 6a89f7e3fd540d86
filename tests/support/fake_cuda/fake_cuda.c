/* A stand-in for libcuda.so.1, with which real PyCUDA and real cuda.bindings run without a GPU.

   Memory is host memory, streams run their work at once, and kernels are shared libraries built for the host (see
   kernel.h): a "cubin" is the text "HOST:" and the path of such a library. Captured work is recorded and runs at
   cuGraphLaunch.

   It is stricter than it needs to be, where a real driver would crash or do something undefined: every call that needs
   a current context refuses to work without one, every handle must be alive, every copy must lie within one
   allocation. It counts what is alive (fake_alive), how often each function was called (fake_calls), and can be told to
   fail a call (fake_fail). Environment: FAKE_CUDA_DEVICES (1), FAKE_CUDA_MEMORY (bytes of each device, 1 GiB).

   It does not have: overlap, textures, peers, blocks that synchronise. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define API __attribute__((visibility("default")))
typedef int Result;
typedef unsigned long long Pointer;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
       INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
       CONTEXT_IS_DESTROYED = 709, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900,
       CAPTURE_INVALIDATED = 901 };
typedef void (*Kernel)(const unsigned char *, size_t, const unsigned *, const unsigned *, unsigned);

/* ---- live objects ---- */
enum Kind { DEVICE_MEMORY, PINNED, STREAM, EVENT, MODULE, GRAPH, EXECUTABLE, KINDS };
static const char *const KIND_NAMES[] = {"device memory", "pinned", "streams", "events", "modules", "graphs", "executables"};
typedef struct Object { enum Kind kind; char *at; size_t size; struct Object *next; } Object;
static Object *objects;
static long alive[KINDS];
static size_t device_bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void add(enum Kind kind, void *at, size_t size) {
    Object *object = malloc(sizeof *object);
    *object = (Object){kind, at, size, NULL};
    pthread_mutex_lock(&lock);
    object->next = objects, objects = object, alive[kind]++;
    if (kind == DEVICE_MEMORY) device_bytes += size;
    pthread_mutex_unlock(&lock);
}
static int take_out(enum Kind kind, void *at) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (Object **link = &objects; *link; link = &(*link)->next)
        if ((*link)->kind == kind && (*link)->at == at) {
            Object *gone = *link;
            *link = gone->next, alive[kind]--, found = 1;
            if (kind == DEVICE_MEMORY) device_bytes -= gone->size;
            free(gone);
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}
static int holds(enum Kind kind, const void *from, size_t size) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (Object *o = objects; o && !found; o = o->next)
        found = o->kind == kind && (char *)from >= o->at && (char *)from + size <= o->at + o->size;
    pthread_mutex_unlock(&lock);
    return found;
}

/* ---- call counts, and failures on demand ---- */
static struct { char name[64]; long count; } calls[256];
static char fail_name[64];
static int fail_after, fail_result, lost;

static Result enter(const char *name) {
    Result result = OK;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 256; i++) {
        if (!calls[i].name[0]) snprintf(calls[i].name, sizeof calls[i].name, "%s", name);
        if (!strcmp(calls[i].name, name)) { calls[i].count++; break; }
    }
    if (fail_after && !strcmp(fail_name, name) && --fail_after == 0) result = fail_result;
    if (result == ILLEGAL_ADDRESS || result == LAUNCH_FAILED) lost = result;
    pthread_mutex_unlock(&lock);
    return result;
}
API void fake_fail(const char *name, int nth, int result) {
    snprintf(fail_name, sizeof fail_name, "%s", name);
    fail_after = nth, fail_result = result;
}
API long fake_calls(const char *name) {
    for (int i = 0; i < 256; i++) if (!strcmp(calls[i].name, name)) return calls[i].count;
    return 0;
}

/* ---- contexts: one primary context per device, and a stack per thread ---- */
#define DEVICES 8
static struct Context { int retained; } primary[DEVICES];
static __thread struct Context *stack[64];
static __thread int depth;

API long fake_alive(const char *what) {
    long retained = 0;
    for (int i = 0; i < DEVICES; i++) retained += primary[i].retained;
    if (!strcmp(what, "contexts")) return retained;
    if (!strcmp(what, "current contexts")) return depth;
    for (int i = 0; i < KINDS; i++) if (!strcmp(what, KIND_NAMES[i])) return alive[i];
    return -1;
}
static Result context(void) {
    if (lost) return lost;
    if (!depth) return INVALID_CONTEXT;
    return stack[depth - 1]->retained ? OK : CONTEXT_IS_DESTROYED;
}
#define ENTER do { Result entered = enter(__func__); if (entered) return entered; } while (0)
#define IN_CONTEXT do { ENTER; Result current = context(); if (current) return current; } while (0)
#define NEED(condition, result) do { if (!(condition)) return result; } while (0)

static long setting(const char *name, long otherwise) { const char *text = getenv(name); return text ? atol(text) : otherwise; }
static int devices(void) { return (int)setting("FAKE_CUDA_DEVICES", 1); }
static size_t total(void) { return (size_t)setting("FAKE_CUDA_MEMORY", 1L << 30); }

API Result cuInit(unsigned flags) { (void)flags; ENTER; return devices() ? OK : NO_DEVICE; }
API Result cuDriverGetVersion(int *version) { *version = 13000; return OK; }
static const struct { int code; const char *name, *text; } ERRORS[] = {
    {OK, "CUDA_SUCCESS", "no error"}, {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}, {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}, {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}};
API Result cuGetErrorString(Result error, const char **text) {
    *text = "some error";
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) if (ERRORS[i].code == error) *text = ERRORS[i].text;
    return OK;
}
API Result cuDeviceGetCount(int *n) { ENTER; *n = devices(); return OK; }
API Result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < devices() ? OK : INVALID_DEVICE; }
API Result cuDeviceGetName(char *name, int n, int device) { snprintf(name, n, "Stand-in %d", device); return OK; }
API Result cuDeviceComputeCapability(int *major, int *minor, int device) { (void)device; *major = 8, *minor = 6; return OK; }
API Result cuDeviceTotalMem_v2(size_t *n, int device) { (void)device; *n = total(); return OK; }
API Result cuDeviceGetAttribute(int *value, int attribute, int device) { (void)attribute, (void)device; *value = 1024; return OK; }
API Result cuDeviceGetPCIBusId(char *text, int n, int device) { snprintf(text, n, "0000:%02x:00.0", device); return OK; }
API Result cuDevicePrimaryCtxRetain(void **made, int device) { ENTER; primary[device].retained++; *made = &primary[device]; return OK; }
API Result cuDevicePrimaryCtxRelease_v2(int device) { ENTER; NEED(primary[device].retained, INVALID_CONTEXT); primary[device].retained--; return OK; }
API Result cuCtxPushCurrent_v2(void *pushed) { ENTER; NEED(depth < 64, INVALID_VALUE); stack[depth++] = pushed; return OK; }
API Result cuCtxPopCurrent_v2(void **popped) { ENTER; NEED(depth, INVALID_CONTEXT); depth--; if (popped) *popped = stack[depth]; return OK; }
API Result cuCtxGetDevice(int *device) { IN_CONTEXT; *device = (int)(stack[depth - 1] - primary); return OK; }
API Result cuCtxGetCurrent(void **current) { *current = depth ? stack[depth - 1] : NULL; return OK; }
API Result cuCtxSynchronize(void) { IN_CONTEXT; return OK; }

/* ---- streams, and capture, which records into the stream's graph ---- */
enum What { COPY, FILL, LAUNCH };
typedef struct Node {
    enum What what; char *to; const char *from; size_t n; unsigned char byte;
    Kernel kernel; unsigned char *arguments; unsigned grid[3], block[3], shared; struct Node *next;
} Node;
typedef struct Graph { Node *first, **last; } Graph;
typedef struct Stream { Graph *capture; int invalid; } Stream;
static __thread Stream *capturing;

static Graph *new_graph(void) { Graph *graph = malloc(sizeof *graph); graph->first = NULL, graph->last = &graph->first; return graph; }
static void free_graph(Graph *graph) {
    for (Node *node = graph->first, *next; node; node = next) { next = node->next; free(node->arguments); free(node); }
    free(graph);
}
static void append(Graph *graph, const Node *node) {
    Node *copy = malloc(sizeof *copy);
    *copy = *node, copy->next = NULL;
    if (node->arguments) copy->arguments = malloc(node->n), memcpy(copy->arguments, node->arguments, node->n);
    *graph->last = copy, graph->last = &copy->next;
}
static void run(const Node *node) {
    if (node->what == COPY) memmove(node->to, node->from, node->n);
    else if (node->what == FILL) memset(node->to, node->byte, node->n);
    else node->kernel(node->arguments, node->n, node->grid, node->block, node->shared);
}
static Result give(Stream *stream, const Node *node) {
    NEED(!stream || holds(STREAM, stream, 0), INVALID_HANDLE);
    if (stream && stream->capture) append(stream->capture, node); else run(node);
    return OK;
}
/* For calls that are not allowed on a capturing thread: invalidates the capture and returns an error. */
#define NOT_CAPTURING do { if (capturing) { capturing->invalid = 1; return CAPTURE_UNSUPPORTED; } } while (0)

API Result cuStreamCreate(void **made, unsigned flags) {
    (void)flags; IN_CONTEXT; *made = calloc(1, sizeof(Stream)); add(STREAM, *made, sizeof(Stream)); return OK;
}
API Result cuStreamDestroy_v2(void *stream) { IN_CONTEXT; NEED(take_out(STREAM, stream), INVALID_HANDLE); free(stream); return OK; }
API Result cuStreamSynchronize(void *stream) { IN_CONTEXT; NEED(holds(STREAM, stream, 0), INVALID_HANDLE); NOT_CAPTURING; return OK; }
API Result cuStreamQuery(void *stream) { IN_CONTEXT; NEED(holds(STREAM, stream, 0), INVALID_HANDLE); return OK; }
API Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    (void)flags; IN_CONTEXT; NEED(holds(STREAM, stream, 0) && holds(EVENT, event, 0), INVALID_HANDLE); return OK;
}
API Result cuStreamBeginCapture_v2(Stream *stream, int mode) {
    (void)mode; IN_CONTEXT; NEED(holds(STREAM, stream, 0) && !stream->capture, INVALID_HANDLE);
    stream->capture = new_graph(), stream->invalid = 0, capturing = stream;
    return OK;
}
API Result cuStreamEndCapture(Stream *stream, Graph **graph) { /* ends the capture, whatever it returns */
    Result failed = enter(__func__);
    NEED(holds(STREAM, stream, 0) && stream->capture, INVALID_HANDLE);
    *graph = stream->capture, stream->capture = NULL, capturing = NULL;
    if (!failed) failed = stream->invalid ? CAPTURE_INVALIDATED : context();
    if (failed) { free_graph(*graph); *graph = NULL; } else add(GRAPH, *graph, sizeof **graph);
    return failed;
}
API Result cuGraphDestroy(Graph *graph) { ENTER; NEED(take_out(GRAPH, graph), INVALID_HANDLE); free_graph(graph); return OK; }
API Result cuGraphInstantiateWithFlags(Graph **made, Graph *graph, unsigned long long flags) {
    (void)flags; IN_CONTEXT; NEED(holds(GRAPH, graph, 0), INVALID_HANDLE);
    *made = new_graph();
    for (Node *node = graph->first; node; node = node->next) append(*made, node);
    add(EXECUTABLE, *made, sizeof **made);
    return OK;
}
API Result cuGraphLaunch(Graph *executable, Stream *stream) {
    IN_CONTEXT; NEED(holds(EXECUTABLE, executable, 0) && holds(STREAM, stream, 0), INVALID_HANDLE);
    for (Node *node = executable->first; node; node = node->next) give(stream, node);
    return OK;
}
API Result cuGraphExecDestroy(Graph *executable) { IN_CONTEXT; NEED(take_out(EXECUTABLE, executable), INVALID_HANDLE); free_graph(executable); return OK; }

/* ---- events ---- */
static double now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec * 1e-6; }
API Result cuEventCreate(double **made, unsigned flags) { (void)flags; IN_CONTEXT; *made = calloc(1, sizeof(double)); add(EVENT, *made, sizeof(double)); return OK; }
API Result cuEventDestroy_v2(double *event) { IN_CONTEXT; NEED(take_out(EVENT, event), INVALID_HANDLE); free(event); return OK; }
API Result cuEventRecord(double *event, void *stream) {
    IN_CONTEXT; NEED(holds(EVENT, event, 0) && (!stream || holds(STREAM, stream, 0)), INVALID_HANDLE); *event = now_ms(); return OK;
}
API Result cuEventSynchronize(double *event) { IN_CONTEXT; NEED(holds(EVENT, event, 0), INVALID_HANDLE); NOT_CAPTURING; return OK; }
API Result cuEventQuery(double *event) { IN_CONTEXT; NEED(holds(EVENT, event, 0), INVALID_HANDLE); return OK; }
API Result cuEventElapsedTime_v2(float *ms, double *start, double *end) {
    IN_CONTEXT; NEED(holds(EVENT, start, 0) && holds(EVENT, end, 0), INVALID_HANDLE); *ms = (float)(*end - *start); return OK;
}
/* Used by PyCUDA built with CUDA 12. */
API Result cuEventElapsedTime(float *ms, double *start, double *end) { return cuEventElapsedTime_v2(ms, start, end); }

/* ---- memory: fresh device memory is never zero ---- */
API Result cuMemAlloc_v2(Pointer *made, size_t n) {
    IN_CONTEXT; NOT_CAPTURING; NEED(n, INVALID_VALUE); NEED(device_bytes + n <= total(), OUT_OF_MEMORY);
    char *at = aligned_alloc(256, (n + 255) & ~(size_t)255);
    NEED(at, OUT_OF_MEMORY);
    memset(at, 0xCD, n); add(DEVICE_MEMORY, at, n); *made = (Pointer)at;
    return OK;
}
API Result cuMemFree_v2(Pointer at) { IN_CONTEXT; NOT_CAPTURING; NEED(take_out(DEVICE_MEMORY, (void *)at), INVALID_VALUE); free((void *)at); return OK; }
API Result cuMemGetInfo_v2(size_t *left, size_t *all) { IN_CONTEXT; *all = total(), *left = total() - device_bytes; return OK; }
API Result cuMemHostAlloc(void **made, size_t n, unsigned flags) {
    (void)flags; IN_CONTEXT; NOT_CAPTURING;
    *made = aligned_alloc(4096, (n + 4095) & ~(size_t)4095); NEED(*made, OUT_OF_MEMORY); add(PINNED, *made, n);
    return OK;
}
API Result cuMemFreeHost(void *at) { IN_CONTEXT; NOT_CAPTURING; NEED(take_out(PINNED, at), INVALID_VALUE); free(at); return OK; }
API Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t n, Stream *stream) {
    IN_CONTEXT; NEED(holds(DEVICE_MEMORY, (void *)to, n), INVALID_VALUE);
    return give(stream, &(Node){.what = COPY, .to = (char *)to, .from = from, .n = n});
}
API Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t n, Stream *stream) {
    IN_CONTEXT; NEED(holds(DEVICE_MEMORY, (void *)from, n), INVALID_VALUE);
    return give(stream, &(Node){.what = COPY, .to = to, .from = (char *)from, .n = n});
}
API Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t n, Stream *stream) {
    IN_CONTEXT; NEED(holds(DEVICE_MEMORY, (void *)to, n) && holds(DEVICE_MEMORY, (void *)from, n), INVALID_VALUE);
    return give(stream, &(Node){.what = COPY, .to = (char *)to, .from = (char *)from, .n = n});
}
API Result cuMemsetD8Async(Pointer to, unsigned char byte, size_t n, Stream *stream) {
    IN_CONTEXT; NEED(holds(DEVICE_MEMORY, (void *)to, n), INVALID_VALUE);
    return give(stream, &(Node){.what = FILL, .to = (char *)to, .byte = byte, .n = n});
}

/* ---- kernels ---- */
API Result cuModuleLoadDataEx(void **made, const char *image, unsigned n, const int *options, void **values) {
    for (unsigned i = 0; i < n; i++) if (options[i] == 4 || options[i] == 6) values[i] = NULL; /* sizes of the two log buffers */
    IN_CONTEXT; NEED(!strncmp(image, "HOST:", 5), INVALID_IMAGE);
    *made = dlopen(image + 5, RTLD_NOW | RTLD_LOCAL); NEED(*made, INVALID_IMAGE);
    add(MODULE, *made, 1);
    return OK;
}
API Result cuModuleUnload(void *module) { IN_CONTEXT; NEED(take_out(MODULE, module), INVALID_HANDLE); dlclose(module); return OK; }
API Result cuModuleGetFunction(void **function, void *module, const char *name) {
    IN_CONTEXT; NEED(holds(MODULE, module, 0), INVALID_HANDLE); *function = dlsym(module, name); return *function ? OK : NOT_FOUND;
}
API Result cuFuncSetBlockShape(void *function, int x, int y, int z) { (void)function, (void)x, (void)y, (void)z; return OK; }
API Result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, Stream *stream, void **parameters, void **extra) {
    IN_CONTEXT; NEED(!parameters && extra, INVALID_VALUE);
    NEED(gx && gy && gz && bx && by && bz && (size_t)bx * by * bz <= 1024, INVALID_VALUE);
    return give(stream, &(Node){.what = LAUNCH, .kernel = (Kernel)function, .arguments = extra[1], .n = *(size_t *)extra[3],
                                .grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared});
}

/* cuda.bindings looks up each function by its name without a version suffix; here all its versions are the same. */
API Result cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, int *status) {
    (void)version, (void)flags;
    Dl_info here;
    dladdr((void *)cuInit, &here);
    void *self = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    char versioned[128];
    *found = NULL;
    for (int i = 4; i > 1 && !*found; i--) { snprintf(versioned, sizeof versioned, "%s_v%d", name, i); *found = dlsym(self, versioned); }
    if (!*found) *found = dlsym(self, name);
    dlclose(self);
    if (status) *status = *found ? 0 : 1;
    return *found ? OK : NOT_FOUND;
}

/* Functions that PyCUDA links against but this project does not call. */
#define ABSENT(name) API Result name(void) { return NOT_SUPPORTED; }
ABSENT(cuArray3DCreate_v2) ABSENT(cuArray3DGetDescriptor_v2) ABSENT(cuArrayCreate_v2) ABSENT(cuArrayDestroy)
ABSENT(cuArrayGetDescriptor_v2) ABSENT(cuCtxAttach) ABSENT(cuCtxCreate_v2) ABSENT(cuCtxCreate_v4) ABSENT(cuCtxDetach)
ABSENT(cuCtxDisablePeerAccess) ABSENT(cuCtxEnablePeerAccess) ABSENT(cuCtxGetApiVersion) ABSENT(cuCtxGetCacheConfig)
ABSENT(cuCtxGetLimit) ABSENT(cuCtxGetSharedMemConfig) ABSENT(cuCtxSetCacheConfig) ABSENT(cuCtxSetLimit)
ABSENT(cuCtxSetSharedMemConfig) ABSENT(cuDeviceCanAccessPeer) ABSENT(cuDeviceGetByPCIBusId) ABSENT(cuFuncGetAttribute)
ABSENT(cuFuncSetAttribute) ABSENT(cuFuncSetCacheConfig) ABSENT(cuFuncSetSharedSize) ABSENT(cuIpcCloseMemHandle)
ABSENT(cuIpcGetEventHandle) ABSENT(cuIpcGetMemHandle) ABSENT(cuIpcOpenEventHandle) ABSENT(cuIpcOpenMemHandle_v2)
ABSENT(cuLaunch) ABSENT(cuLaunchGrid) ABSENT(cuLaunchGridAsync) ABSENT(cuLinkAddData_v2) ABSENT(cuLinkAddFile_v2)
ABSENT(cuLinkComplete) ABSENT(cuLinkCreate_v2) ABSENT(cuLinkDestroy) ABSENT(cuMemAllocManaged)
ABSENT(cuMemAllocPitch_v2) ABSENT(cuMemGetAddressRange_v2) ABSENT(cuMemHostGetDevicePointer_v2)
ABSENT(cuMemHostGetFlags) ABSENT(cuMemHostRegister_v2) ABSENT(cuMemHostUnregister) ABSENT(cuMemcpy2DAsync_v2)
ABSENT(cuMemcpy2DUnaligned_v2) ABSENT(cuMemcpy2D_v2) ABSENT(cuMemcpy3DAsync_v2) ABSENT(cuMemcpy3DPeer)
ABSENT(cuMemcpy3DPeerAsync) ABSENT(cuMemcpy3D_v2) ABSENT(cuMemcpyAtoA_v2) ABSENT(cuMemcpyAtoD_v2)
ABSENT(cuMemcpyAtoH_v2) ABSENT(cuMemcpyDtoA_v2) ABSENT(cuMemcpyDtoD_v2) ABSENT(cuMemcpyDtoH_v2)
ABSENT(cuMemcpyHtoA_v2) ABSENT(cuMemcpyHtoD_v2) ABSENT(cuMemcpyPeer) ABSENT(cuMemcpyPeerAsync)
ABSENT(cuMemsetD16Async) ABSENT(cuMemsetD16_v2) ABSENT(cuMemsetD2D16Async) ABSENT(cuMemsetD2D16_v2)
ABSENT(cuMemsetD2D32Async) ABSENT(cuMemsetD2D32_v2) ABSENT(cuMemsetD2D8Async) ABSENT(cuMemsetD2D8_v2)
ABSENT(cuMemsetD32Async) ABSENT(cuMemsetD32_v2) ABSENT(cuMemsetD8_v2) ABSENT(cuModuleGetGlobal_v2)
ABSENT(cuModuleGetSurfRef) ABSENT(cuModuleGetTexRef) ABSENT(cuModuleLoad) ABSENT(cuModuleLoadData)
ABSENT(cuParamSetSize) ABSENT(cuParamSetTexRef) ABSENT(cuParamSetf) ABSENT(cuParamSeti) ABSENT(cuParamSetv)
ABSENT(cuProfilerInitialize) ABSENT(cuProfilerStart) ABSENT(cuProfilerStop) ABSENT(cuStreamAttachMemAsync)
ABSENT(cuSurfRefGetArray) ABSENT(cuSurfRefSetArray) ABSENT(cuTexRefCreate) ABSENT(cuTexRefDestroy)
ABSENT(cuTexRefGetAddressMode) ABSENT(cuTexRefGetAddress_v2) ABSENT(cuTexRefGetArray) ABSENT(cuTexRefGetFilterMode)
ABSENT(cuTexRefGetFlags) ABSENT(cuTexRefGetFormat) ABSENT(cuTexRefSetAddress2D_v3) ABSENT(cuTexRefSetAddressMode)
ABSENT(cuTexRefSetAddress_v2) ABSENT(cuTexRefSetArray) ABSENT(cuTexRefSetFilterMode) ABSENT(cuTexRefSetFlags)
ABSENT(cuTexRefSetFormat)
