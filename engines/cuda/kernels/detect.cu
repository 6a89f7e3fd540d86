// Decodes raw outputs of detectors to candidates, and ranks these by score; one launch each for a whole batch. Grid of
// the decoders: (blocks that cover the rows, 1, images), one thread per row; SSD: one thread per four scores; boxes that
// need no grid: (blocks that cover the rows, blocks of 8 columns of scores, images), one thread per row and block.
#include "candidate.cuh"

// Part of the outputs with a single stride: one grid for heads with grids, else everything. Lengths are in elements.
struct Level {
    Address tensor[4];
    int row_length[4];      // between rows
    int picture_length[4];  // between images
    int first_row, rows;    // its rows among those of all levels
    int columns, stride;    // of the grid: cells per row, pixels per cell
};

struct Head {
    Level levels[4];
    Address min_score;  // float [classes]
    float least;        // minimum of these
    int level_count;
    int classes;
    int width, height;  // of the model's input, pixels
    int bins;           // NanoDet: number of bins per side
    float shift;        // NanoDet: from a cell's corner to the point from which sides are measured, in cells
    int on_grid;        // YOLOX: boxes are relative to cells
    int probe_every;    // rows: the scores of one are probed
};

struct Row {
    const Level* level;
    int picture, index;  // among the rows of all levels
    float cell_x, cell_y, stride;
};

// Returns the thread's row. `level` is null if it has none.
__device__ __forceinline__ Row row_of_thread(const Head& head) {
    const int index = thread_x();
    for (int i = 0; i < head.level_count; ++i) {
        const Level& level = head.levels[i];
        const int within = index - level.first_row;
        if (within >= 0 && within < level.rows)
            return Row{
                &level, static_cast<int>(blockIdx.z), index,
                static_cast<float>(level.columns ? within % level.columns : 0),
                static_cast<float>(level.columns ? within / level.columns : 0), static_cast<float>(level.stride)};
    }
    return Row{nullptr, 0, 0, 0.0f, 0.0f, 0.0f};
}

template <class T>
__device__ __forceinline__ const T* tensor_row(const Row& row, int which) {
    const Level& level = *row.level;
    return reinterpret_cast<const T*>(level.tensor[which]) +
        static_cast<Fixed>(row.picture) * level.picture_length[which] +
        static_cast<Fixed>(row.index - level.first_row) * level.row_length[which];
}

template <class T>
__device__ __forceinline__ void probe_row(
    const Head& head, const Candidates& into, const Row& row, const T* scores, int count) {
    if (row.index % head.probe_every != 0) return;
    for (int i = 0; i < count; ++i) probe(into, row.picture, to_float(scores[i]));
}

__device__ __forceinline__ void corners(float x, float y, float width, float height, float (&box)[4]) {
    const float half_width = width / 2.0f, half_height = height / 2.0f;
    box[0] = x - half_width, box[1] = y - half_height, box[2] = x + half_width, box[3] = y + half_height;
}

// SSD: boxes [n, rows, 4] as fractions of the input size, scores [n, rows, classes].
template <class T>
__device__ void decode_ssd(const Head& head, const Candidates& into) {
    const Level& level = head.levels[0];
    const float* min_score = reinterpret_cast<const float*>(head.min_score);
    const int picture = static_cast<int>(blockIdx.z), total = level.rows * head.classes, first = 4 * thread_x();
    if (first >= total) return;
    const T* scores = reinterpret_cast<const T*>(level.tensor[1]) + static_cast<Fixed>(picture) * level.picture_length[1];
    float four[4] = {};
    if (total % 4 == 0) {
        load4(scores + first, four);
    } else {
        for (int i = 0; i < 4 && first + i < total; ++i) four[i] = to_float(scores[first + i]);
    }
    for (int i = 0, row = first / head.classes, class_id = first % head.classes; i < 4 && first + i < total; ++i) {
        if (row % head.probe_every == 0) probe(into, picture, four[i]);
        if (four[i] >= min_score[class_id]) {
            const T* at = reinterpret_cast<const T*>(level.tensor[0]) +
                static_cast<Fixed>(picture) * level.picture_length[0] + 4 * row;
            const float width = static_cast<float>(head.width), height = static_cast<float>(head.height);
            const float box[4] = {
                to_float(at[0]) * width, to_float(at[1]) * height, to_float(at[2]) * width, to_float(at[3]) * height};
            append(into, picture, box, four[i], class_id, first + i);
        }
        if (++class_id == head.classes) class_id = 0, ++row;
    }
}

// YOLOX: rows of x, y, w, h, objectness and class scores; centre = (xy + cell) * stride, size = exp(wh) * stride.
template <class T>
__device__ void decode_yolox(const Head& head, const Candidates& into) {
    const Row row = row_of_thread(head);
    if (!row.level) return;
    const float* min_score = reinterpret_cast<const float*>(head.min_score);
    const T* at = tensor_row<T>(row, 0);
    probe_row(head, into, row, at + 4, 1 + head.classes);
    const float objectness = to_float(at[4]);
    if (!(objectness >= head.least)) return;
    float x = to_float(at[0]), y = to_float(at[1]), width = to_float(at[2]), height = to_float(at[3]);
    if (head.on_grid) {
        const float wildest = 20.0f;
        x = (x + row.cell_x) * row.stride, y = (y + row.cell_y) * row.stride;
        width = expf(fminf(width, wildest)) * row.stride, height = expf(fminf(height, wildest)) * row.stride;
    }
    float box[4];
    corners(x, y, width, height, box);
    for (int class_id = 0; class_id < head.classes; ++class_id) {
        const float score = objectness * to_float(at[5 + class_id]);
        if (score >= min_score[class_id])
            append(into, row.picture, box, score, class_id, row.index * head.classes + class_id);
    }
}

// Returns the mean of the softmax over a side's bins.
template <class T>
__device__ float distance(const T* weights, int bins) {
    float most = to_float(weights[0]);
    for (int i = 1; i < bins; ++i) most = fmaxf(most, to_float(weights[i]));
    float sum = 0.0f, moment = 0.0f;
    for (int i = 0; i < bins; ++i) {
        const float weight = expf(to_float(weights[i]) - most);
        sum += weight;
        moment += weight * static_cast<float>(i);
    }
    return moment / sum;
}

// NanoDet: class scores, and for each side of the box a distribution of its distance in strides.
template <class T>
__device__ void decode_nanodet(const Head& head, const Candidates& into) {
    const Row row = row_of_thread(head);
    if (!row.level) return;
    const float* min_score = reinterpret_cast<const float*>(head.min_score);
    const T *scores = tensor_row<T>(row, 0), *sides = tensor_row<T>(row, 1);
    probe_row(head, into, row, scores, head.classes);
    bool decoded = false;
    float box[4] = {};
    for (int class_id = 0; class_id < head.classes; ++class_id) {
        const float score = to_float(scores[class_id]);
        if (!(score >= min_score[class_id])) continue;
        if (!decoded) {
            decoded = true;
            const float point[2] = {(row.cell_x + head.shift) * row.stride, (row.cell_y + head.shift) * row.stride};
            const float limit[2] = {static_cast<float>(head.width), static_cast<float>(head.height)};
            for (int i = 0; i < 4; ++i) {
                const float side = distance(sides + i * head.bins, head.bins) * row.stride;
                box[i] = fminf(fmaxf(i < 2 ? point[i] - side : point[i - 2] + side, 0.0f), limit[i % 2]);
            }
        }
        append(into, row.picture, box, score, class_id, row.index * head.classes + class_id);
    }
}

// YuNet: class score, objectness, box and five landmarks, each in its own tensor per stride.
template <class T>
__device__ void decode_yunet(const Head& head, const Candidates& into) {
    const Row row = row_of_thread(head);
    if (!row.level) return;
    const float face = fminf(fmaxf(to_float(*tensor_row<T>(row, 0)), 0.0f), 1.0f);
    const float objectness = fminf(fmaxf(to_float(*tensor_row<T>(row, 1)), 0.0f), 1.0f);
    const float score = sqrtf(face * objectness);
    if (!(score >= head.least)) return;
    const T *at = tensor_row<T>(row, 2), *points = tensor_row<T>(row, 3);
    float box[4];
    corners(
        (row.cell_x + to_float(at[0])) * row.stride, (row.cell_y + to_float(at[1])) * row.stride,
        expf(to_float(at[2])) * row.stride, expf(to_float(at[3])) * row.stride, box);
    const int slot = append(into, row.picture, box, score, 0, row.index);
    if (slot < 0) return;
    float* landmarks = row_of<float>(into.points, row.picture, 10 * into.capacity) + 10 * slot;
    for (int i = 0; i < 10; ++i)
        landmarks[i] = (to_float(points[i]) + (i % 2 ? row.cell_y : row.cell_x)) * row.stride;
}

enum Element { F32, F16, I64, I32 };
enum BoxForm { CORNERS, CORNERS_YX, CENTRE_SIZE };

// Rows and columns of a tensor, for each image. Lengths are in elements.
struct Table {
    Address tensor;  // 0: there is none
    int element;     // Element
    int picture_length, row_length, column_length;  // to the next one
};

// Boxes that need no grid, and their scores. `objectness`, `labels`, `counted` and `angles` are optional.
struct BoxHead {
    Table boxes;       // four columns, see `form`
    Table scores;      // a column per class, or with labels, one
    Table objectness;  // one column; multiplied by each score
    Table labels;      // one column: class ids, which start at `first_class`
    Table counted;     // one row and column: the number of rows that are valid
    Table angles;      // one column, radians: boxes of centre and size are turned clockwise on the screen
    Address min_score;  // float [classes]
    float least;        // minimum of these
    int rows, columns;  // columns of scores
    int classes, first_class;
    int form;      // BoxForm
    int sigmoid;   // scores are logits
    int probe_every;       // rows: the scores of one are probed
    float width, height;   // pixels of the model's input per unit of the boxes
};

__device__ __forceinline__ float value_at(const Table& table, int picture, int row, int column) {
    const Fixed at = static_cast<Fixed>(picture) * table.picture_length +
        static_cast<Fixed>(row) * table.row_length + static_cast<Fixed>(column) * table.column_length;
    switch (table.element) {
        case F32: return reinterpret_cast<const float*>(table.tensor)[at];
        case F16: return to_float(reinterpret_cast<const Half*>(table.tensor)[at]);
        case I64: return static_cast<float>(reinterpret_cast<const long long*>(table.tensor)[at]);
        default: return static_cast<float>(reinterpret_cast<const int*>(table.tensor)[at]);
    }
}

__device__ __forceinline__ int valid_rows(const BoxHead& head, int picture) {
    if (!head.counted.tensor) return head.rows;
    return static_cast<int>(fminf(fmaxf(value_at(head.counted, picture, 0, 0), 0.0f), static_cast<float>(head.rows)));
}

__device__ __forceinline__ float score_at(const BoxHead& head, int picture, int row, int column) {
    const float value = value_at(head.scores, picture, row, column);
    return head.sigmoid ? 1.0f / (1.0f + expf(-value)) : value;
}

// Returns the class of a score, or -1 if its label is the id of no class.
__device__ __forceinline__ int class_at(
    const BoxHead& head, const Candidates& into, int picture, int row, int column, float score) {
    if (!head.labels.tensor) return column;
    const float label = value_at(head.labels, picture, row, 0) - static_cast<float>(head.first_class);
    const bool whole = label - floorf(label) == 0.0f;
    const bool known = whole && label >= 0.0f && label < static_cast<float>(head.classes);
    // Padding has no class and no score.
    if (!whole || (!known && score >= head.least)) atomicAdd(&counts_of(into, picture).wrong_classes, 1);
    return known ? static_cast<int>(label) : -1;
}

// The corners follow the outline: those of the box at angle 0 from its top left one on.
__device__ __forceinline__ void turn(
    float x, float y, float width, float height, float angle, float (&corners)[8]) {
    const float cosine = cosf(angle), sine = sinf(angle), half_width = width / 2.0f, half_height = height / 2.0f;
    const float across[2] = {half_width * cosine, half_width * sine};
    const float down[2] = {-half_height * sine, half_height * cosine};
    for (int i = 0; i < 2; ++i) {
        const float centre = i ? y : x;
        corners[i] = centre + (-across[i] - down[i]), corners[2 + i] = centre + (across[i] - down[i]);
        corners[4 + i] = centre + (across[i] + down[i]), corners[6 + i] = centre + (down[i] - across[i]);
    }
}

// Sets the smallest box around the corners.
__device__ __forceinline__ void box_around(const float (&corners)[8], float (&box)[4]) {
    for (int i = 0; i < 2; ++i) {
        box[i] = fminf(fminf(corners[i], corners[2 + i]), fminf(corners[4 + i], corners[6 + i]));
        box[2 + i] = fmaxf(fmaxf(corners[i], corners[2 + i]), fmaxf(corners[4 + i], corners[6 + i]));
    }
}

// Sets the box, and its corners if boxes have angles.
__device__ __forceinline__ void box_at(
    const BoxHead& head, int picture, int row, float (&box)[4], float (&corner)[8]) {
    const float size[2] = {head.width, head.height};
    const int swapped = head.form == CORNERS_YX;
    float at[4];
    for (int i = 0; i < 4; ++i) at[i] = value_at(head.boxes, picture, row, i ^ swapped) * size[i % 2];
    if (head.angles.tensor) {
        turn(at[0], at[1], at[2], at[3], value_at(head.angles, picture, row, 0), corner);
        box_around(corner, box);
    } else if (head.form == CENTRE_SIZE) {
        corners(at[0], at[1], at[2], at[3], box);
    } else {
        for (int i = 0; i < 4; ++i) box[i] = at[i];
    }
}

// Eight adjacent floats are a memory sector, so all of what is read is used, whether columns or rows are adjacent.
extern "C" __global__ void decode_boxes(const __grid_constant__ BoxHead head, Candidates into) {
    const int row = thread_x(), first = 8 * static_cast<int>(blockIdx.y), picture = static_cast<int>(blockIdx.z);
    if (row >= head.rows) return;
    const int end = min(first + 8, head.columns);
    const float objectness = head.objectness.tensor ? value_at(head.objectness, picture, row, 0) : 1.0f;
    if (row % head.probe_every == 0) {
        if (first == 0) probe(into, picture, objectness);
        for (int column = first; column < end; ++column) probe(into, picture, score_at(head, picture, row, column));
    }
    if (!(objectness >= head.least) || row >= valid_rows(head, picture)) return;
    const float* min_score = reinterpret_cast<const float*>(head.min_score);
    bool decoded = false;
    float box[4] = {}, corner[8] = {};
    for (int column = first; column < end; ++column) {
        const float score = objectness * score_at(head, picture, row, column);
        const int class_id = class_at(head, into, picture, row, column, score);
        if (class_id < 0 || !(score >= min_score[class_id])) continue;
        if (!decoded) {
            decoded = true;
            box_at(head, picture, row, box, corner);
        }
        const int slot = append(into, picture, box, score, class_id, row * head.columns + column);
        if (slot < 0 || !head.angles.tensor) continue;
        float* points = row_of<float>(into.points, picture, 10 * into.capacity) + 10 * slot;
        for (int i = 0; i < 10; ++i) points[i] = i < 8 ? corner[i] : 0.0f;
    }
}

extern "C" __global__ void decode_ssd_f32(const __grid_constant__ Head head, Candidates into) {
    decode_ssd<float>(head, into);
}
extern "C" __global__ void decode_ssd_f16(const __grid_constant__ Head head, Candidates into) {
    decode_ssd<Half>(head, into);
}
extern "C" __global__ void decode_yolox_f32(const __grid_constant__ Head head, Candidates into) {
    decode_yolox<float>(head, into);
}
extern "C" __global__ void decode_yolox_f16(const __grid_constant__ Head head, Candidates into) {
    decode_yolox<Half>(head, into);
}
extern "C" __global__ void decode_nanodet_f32(const __grid_constant__ Head head, Candidates into) {
    decode_nanodet<float>(head, into);
}
extern "C" __global__ void decode_nanodet_f16(const __grid_constant__ Head head, Candidates into) {
    decode_nanodet<Half>(head, into);
}
extern "C" __global__ void decode_yunet_f32(const __grid_constant__ Head head, Candidates into) {
    decode_yunet<float>(head, into);
}
extern "C" __global__ void decode_yunet_f16(const __grid_constant__ Head head, Candidates into) {
    decode_yunet<Half>(head, into);
}

// Sorts by counting: a candidate's rank is the number of smaller keys. Keys are unique, so the result does not depend
// on the order in which candidates were added. For hundreds or thousands of candidates, n * n comparisons of values
// that all threads read at the same time are faster than the dozens of barriers of a bitonic sort. Grid (blocks that
// cover the capacity, images).
extern "C" __global__ void rank_candidates(Candidates of) {
    const int picture = static_cast<int>(blockIdx.y), i = thread_x();
    const int count = stored(of, picture);
    if (i >= count) return;
    const unsigned long long* keys = row_of<const unsigned long long>(of.keys, picture, of.capacity);
    const unsigned long long mine = keys[i];
    int rank = 0;
    for (int j = 0; j < count; ++j) rank += keys[j] < mine;
    row_of<int>(of.order, picture, of.capacity)[rank] = i;
}
