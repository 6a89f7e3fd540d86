// Greedy non-maximum suppression, bit-identical to the CPU path, or only the best candidates of models that need none.
// Grid (1, images), one block per image.
//
// Candidates are processed 64 at a time in descending order. All pairs are compared in parallel: first with the boxes
// already kept, then within the 64, into bit masks. Only the selection within the 64 is sequential. Stops when `limit`
// boxes have been returned, so that a flood of weak candidates costs little more than sorting them.
#include "candidate.cuh"

struct Suppression {
    double max_iou;   // at least 0; 1 keeps every candidate
    Address views;    // View [n]
    Address allowed;  // Byte [classes]: classes to return, or 0 for all; the others still suppress
    Address kept;     // scratch: int [n, capacity]
    Address given;    // int [n]: number of detections written
    Address detections;  // Candidate [n, limit], boxes in source pixels, best first
    Address points;      // float [n, limit, 10] in source pixels, or 0
    int by_class;        // 0: boxes of all classes compete
    int limit;
    float min_size;      // boxes whose shorter side is less than this, in source pixels, are not returned
    int oriented;        // candidates compete by their corners, which are their points, instead of their boxes
};

// Position of the source in the model's input: input = source * scale + offset.
struct View {
    float scale_x, scale_y, offset_x, offset_y, width, height;
};

__device__ __forceinline__ double overlap(const Candidate& a, const Candidate& b) {
    const double a1 = a.box[0], a2 = a.box[1], a3 = a.box[2], a4 = a.box[3];
    const double b1 = b.box[0], b2 = b.box[1], b3 = b.box[2], b4 = b.box[3];
    const double shared = fmax(fmin(a3, b3) - fmax(a1, b1), 0.0) * fmax(fmin(a4, b4) - fmax(a2, b2), 0.0);
    const double of_a = fmax(a3 - a1, 0.0) * fmax(a4 - a2, 0.0), of_b = fmax(b3 - b1, 0.0) * fmax(b4 - b2, 0.0);
    const double together = of_a + of_b - shared, tiny = 2.2250738585072014e-308;
    return shared / (together < tiny ? tiny : together);  // NaN stays NaN, and exceeds no threshold
}

// The normal distribution that a rectangle stands for: covariance and centre.
struct Spread {
    double xx, yy, xy, area, x, y;
};

__device__ __forceinline__ Spread spread_of(const float* corner) {
    const double across[2] = {
        static_cast<double>(corner[2]) - corner[0], static_cast<double>(corner[3]) - corner[1]};
    const double down[2] = {static_cast<double>(corner[6]) - corner[0], static_cast<double>(corner[7]) - corner[1]};
    Spread of;
    of.xx = (across[0] * across[0] + down[0] * down[0]) / 12.0;
    of.yy = (across[1] * across[1] + down[1] * down[1]) / 12.0;
    of.xy = (across[0] * across[1] + down[0] * down[1]) / 12.0;
    of.area = fabs(across[0] * down[1] - across[1] * down[0]);
    of.x = (static_cast<double>(corner[0]) + corner[2] + corner[4] + corner[6]) / 4.0;
    of.y = (static_cast<double>(corner[1]) + corner[3] + corner[5] + corner[7]) / 4.0;
    return of;
}

// ProbIoU of two rectangles of any angle (arXiv 2106.06072); the same formula as `oriented_overlap` of geometry.py.
__device__ __forceinline__ double oriented_overlap(const Spread& a, const Spread& b) {
    const double xx = a.xx + b.xx, yy = a.yy + b.yy, xy = a.xy + b.xy, x = a.x - b.x, y = a.y - b.y;
    const double volume = xx * yy - xy * xy;
    if (!(volume > 0.0)) return 0.0;
    const double distance = (yy * x * x - 2.0 * xy * x * y + xx * y * y) / volume / 4.0;
    const double alike = exp(-distance) * sqrt(a.area * b.area / 36.0 / volume);
    return 1.0 - sqrt(fmax(1.0 - alike, 0.0));
}

// Returns whether two boxes cannot both be kept. float64 decides, but is rarely needed: if boxes do not touch, or if
// float32 is further from the threshold than its possible error (some 20 units in the last place, 1.2e-6), float32 is
// as good. Most cards have 32 to 64 times as many float32 units.
__device__ __forceinline__ bool conflict(
    const Candidate& a, const Candidate& b, const Suppression& by, const float* points) {
    if (by.by_class && a.class_id != b.class_id) return false;
    if (by.oriented)
        return oriented_overlap(spread_of(points + 10 * a.slot), spread_of(points + 10 * b.slot)) > by.max_iou;
    const float width = fminf(a.box[2], b.box[2]) - fmaxf(a.box[0], b.box[0]);
    const float height = fminf(a.box[3], b.box[3]) - fmaxf(a.box[1], b.box[1]);
    if (width <= 0.0f || height <= 0.0f) return false;
    const float shared = width * height;
    const float both = (a.box[2] - a.box[0]) * (a.box[3] - a.box[1]) + (b.box[2] - b.box[0]) * (b.box[3] - b.box[1]);
    if (both != both) return false;  // one is NaN, and overlaps nothing
    if (both > 1e-20f && both < 1e30f) {
        const float iou = shared / (both - shared), max_iou = static_cast<float>(by.max_iou);
        if (iou > max_iou + 1e-5f) return true;
        if (iou < max_iou - 1e-5f) return false;
    }
    return overlap(a, b) > by.max_iou;
}

// Returns the candidate in source pixels, clipped to the image.
__device__ __forceinline__ Candidate in_source(const Candidate& candidate, const View& view) {
    Candidate moved = candidate;
    const float offset[2] = {view.offset_x, view.offset_y}, scale[2] = {view.scale_x, view.scale_y};
    const float limit[2] = {view.width, view.height};
    for (int i = 0; i < 4; ++i) {
        const float placed = (candidate.box[i] - offset[i % 2]) / scale[i % 2];
        // Written so that NaN stays NaN: such a box is rejected.
        moved.box[i] = placed < 0.0f ? 0.0f : (placed > limit[i % 2] ? limit[i % 2] : placed);
    }
    return moved;
}

__device__ __forceinline__ bool wanted(const Candidate& moved, const Suppression& by) {
    const float width = moved.box[2] - moved.box[0], height = moved.box[3] - moved.box[1];
    if (!(width > 0.0f && height > 0.0f && width >= by.min_size && height >= by.min_size)) return false;
    return !by.allowed || reinterpret_cast<const Byte*>(by.allowed)[moved.class_id];
}

__device__ __forceinline__ void give(
    const Candidate& moved, const Candidates& from, const Suppression& by, const View& view, int picture, int place) {
    row_of<Candidate>(by.detections, picture, by.limit)[place] = moved;
    if (!by.points) return;
    const float* points = row_of<const float>(from.points, picture, 10 * from.capacity) + 10 * moved.slot;
    float* placed = row_of<float>(by.points, picture, 10 * by.limit) + 10 * place;
    for (int i = 0; i < 10; i += 2) {
        placed[i] = (points[i] - view.offset_x) / view.scale_x;
        placed[i + 1] = (points[i + 1] - view.offset_y) / view.scale_y;
    }
}

extern "C" __global__ void suppress(Candidates from, Suppression by) {
    typedef unsigned long long Mask;
    const int size = 64;
    __shared__ Candidate chunk[64];
    __shared__ Mask beats[64];  // bit j of beats[i]: if i is kept, it removes j
    __shared__ Mask beaten, stays, passes;
    __shared__ int kept_count, given_count;

    const int picture = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
    const int threads = static_cast<int>(blockDim.x);
    const int count = stored(from, picture);
    const Candidate* candidates = row_of<const Candidate>(from.boxes, picture, from.capacity);
    const int* order = row_of<const int>(from.order, picture, from.capacity);
    int* kept = row_of<int>(by.kept, picture, from.capacity);
    const View view = reinterpret_cast<const View*>(by.views)[picture];
    const float* points = row_of<const float>(from.points, picture, 10 * from.capacity);
    const bool suppresses = by.max_iou < 1.0;
    if (thread == 0) kept_count = given_count = 0;

    for (int start = 0; start < count; start += size) {
        const int here = min(size, count - start);
        if (thread < size) beats[thread] = 0;
        if (thread < here) chunk[thread] = candidates[order[start + thread]];
        if (thread == 0) beaten = passes = 0;
        __syncthreads();

        for (int pair = thread; suppresses && pair < kept_count * size; pair += threads) {
            const int j = pair % size;
            if (j < here && conflict(candidates[kept[pair / size]], chunk[j], by, points)) atomicOr(&beaten, Mask(1) << j);
        }
        for (int pair = thread; suppresses && pair < size * size; pair += threads) {
            const int i = pair / size, j = pair % size;
            if (i < j && j < here && conflict(chunk[i], chunk[j], by, points)) atomicOr(&beats[i], Mask(1) << j);
        }
        __syncthreads();

        if (thread == 0) {
            Mask gone = beaten, staying = 0;
            for (int i = 0; i < here; ++i) {
                if (gone >> i & 1) continue;
                staying |= Mask(1) << i;
                gone |= beats[i];
            }
            stays = staying;
        }
        __syncthreads();

        Candidate moved = {};
        const Mask mine = Mask(1) << (thread % size), before = mine - 1;
        if (thread < here && stays & mine) {
            kept[kept_count + __popcll(stays & before)] = order[start + thread];
            moved = in_source(chunk[thread], view);
            if (wanted(moved, by)) atomicOr(&passes, mine);
        }
        __syncthreads();

        if (thread < here && passes & mine) {
            const int place = given_count + __popcll(passes & before);
            if (place < by.limit) give(moved, from, by, view, picture, place);
        }
        __syncthreads();

        if (thread == 0) {
            kept_count += __popcll(stays);
            given_count += __popcll(passes);
        }
        __syncthreads();
        if (given_count >= by.limit) break;
    }
    if (thread == 0) reinterpret_cast<int*>(by.given)[picture] = min(given_count, by.limit);
}
