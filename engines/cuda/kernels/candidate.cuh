// Output of the decoders and input of suppression: boxes that reach the minimum score of their class.
#pragma once
#include "common.cuh"

struct alignas(16) Candidate {
    float box[4];  // x1, y1, x2, y2 in pixels of the model's input
    float score;
    int class_id;
    int index;  // row * classes + class: among equal scores, the lower index comes first
    int slot;   // where its key points are stored
};

// What the decoders count in each image. Outputs of another head than that of the decoder show in the others than `found`.
struct Counts {
    int found;          // candidates, including those without room, so that the host allocates more if necessary
    int wrong_scores;   // of the rows that are probed: scores that are no probabilities
    int no_numbers;     // of the rows that are probed: scores that are infinite or NaN
    int wrong_classes;  // labels that are the id of no class
    int wrong_boxes;    // of the candidates: see is_box
    int beyond_corner;  // 1 if a candidate's box extends beyond the input's corner, else 0: maybe boxes are fractions
};

// Memory for `capacity` candidates per image.
struct Candidates {
    Address counts;     // Counts [n]
    Address keys;       // unsigned 64 bits [n, capacity]: ascending with falling score, then with the index
    Address boxes;      // Candidate [n, capacity], unordered
    Address points;     // float [n, capacity, 10]: five landmarks, or four corners and zeros; or 0
    Address order;      // int [n, capacity]: candidates by rank
    int capacity;
    float width, height;  // of the model's input, pixels
    float corner;         // pixels
    float rounding;       // of probabilities
};

// Maps a float to an unsigned number with the same order. Adding 0 turns -0 into 0.
__device__ __forceinline__ unsigned rising(float value) {
    const unsigned bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ unsigned long long key_of(float score, int index) {
    return static_cast<unsigned long long>(~rising(score)) << 32 | static_cast<unsigned>(index);
}

template <class T>
__device__ __forceinline__ T* row_of(Address address, int picture, int capacity) {
    return reinterpret_cast<T*>(address) + static_cast<Fixed>(picture) * capacity;
}

__device__ __forceinline__ Counts& counts_of(const Candidates& of, int picture) {
    return reinterpret_cast<Counts*>(of.counts)[picture];
}

// Returns the number of candidates that are stored.
__device__ __forceinline__ int stored(const Candidates& of, int picture) {
    return min(counts_of(of, picture).found, of.capacity);
}

// Counts values that are no probabilities.
__device__ __forceinline__ void probe(const Candidates& into, int picture, float value) {
    if (value >= -into.rounding && value <= 1.0f + into.rounding) return;
    Counts& counts = counts_of(into, picture);
    atomicAdd(value - value == 0.0f ? &counts.wrong_scores : &counts.no_numbers, 1);
}

// Returns whether sides are in order and within three times the input's size around it; NaN never is.
__device__ __forceinline__ bool is_box(const Candidates& into, const float (&box)[4]) {
    return box[2] > box[0] && box[3] > box[1] && box[0] > -into.width && box[1] > -into.height &&
        box[2] < 2.0f * into.width && box[3] < 2.0f * into.height;
}

__device__ __forceinline__ void judge(const Candidates& into, int picture, const float (&box)[4]) {
    Counts& counts = counts_of(into, picture);
    if (!is_box(into, box)) {
        atomicAdd(&counts.wrong_boxes, 1);
    } else if (fmaxf(fmaxf(fabsf(box[0]), fabsf(box[1])), fmaxf(box[2], box[3])) > into.corner) {
        counts.beyond_corner = 1;  // by any number of threads: all write the same
    }
}

// Adds a candidate and returns its slot, or -1 if there is no room.
__device__ __forceinline__ int append(
    const Candidates& into, int picture, const float (&box)[4], float score, int class_id, int index) {
    judge(into, picture, box);
    const int slot = atomicAdd(&counts_of(into, picture).found, 1);
    if (slot >= into.capacity) return -1;
    row_of<unsigned long long>(into.keys, picture, into.capacity)[slot] = key_of(score, index);
    Candidate& candidate = row_of<Candidate>(into.boxes, picture, into.capacity)[slot];
    for (int i = 0; i < 4; ++i) candidate.box[i] = box[i];
    candidate.score = score;
    candidate.class_id = class_id;
    candidate.index = index;
    candidate.slot = slot;
    return slot;
}
