// How well a kernel's memory accesses fit the hardware: bank conflicts of shared memory, sectors of global memory.
#pragma once
#include "machine.hpp"
#include <map>
#include <string>
#include <vector>

namespace emulator {

// Of one place in the source, over all warps. A wavefront is one pass of shared memory's 32 banks; a sector is 32 bytes.
struct AccessCounts {
    uint64_t requests = 0, units = 0, ideal_units = 0; // units: wavefronts or sectors
};

using AccessReport = std::map<std::string, AccessCounts>; // by "shared read at matmul.cu:12"

// The accesses of one CTA. A warp's request is the n-th access of each of its lanes at a place.
class AccessRecorder {
public:
    void record(bool shared, uint32_t thread, uint64_t address, uint32_t bytes, const Site& site);
    // Adds what was recorded to the report and forgets it.
    void evaluate(AccessReport& report);

private:
    struct Request {
        uint32_t lanes;
        uint32_t bytes;
        uint64_t addresses[32];
    };
    struct Place {
        bool shared;
        Site site;
        std::vector<std::vector<uint32_t>> counts;    // [warp][lane]
        std::vector<std::vector<Request>> requests;   // [warp][n]
    };
    static uint64_t wavefronts(const Request& request, uint64_t& ideal);
    static uint64_t sectors(const Request& request, uint64_t& ideal);
    std::map<std::pair<const char*, uint64_t>, Place> places_; // by operation, file and line
};

} // namespace emulator
