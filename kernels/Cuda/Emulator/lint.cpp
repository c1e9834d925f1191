#include "lint.hpp"
#include <algorithm>
#include <set>

namespace emulator {

void AccessRecorder::record(bool shared, uint32_t thread, uint64_t address, uint32_t bytes, const Site& site)
{
    const uint64_t where = reinterpret_cast<uint64_t>(site.file) << 20 ^ static_cast<uint64_t>(site.line) << 1 ^ static_cast<uint64_t>(shared);
    Place& place = places_[{site.operation, where}];
    place.shared = shared;
    place.site = site;
    const uint32_t warp = thread / 32, lane = thread % 32;
    if (place.counts.size() <= warp) {
        place.counts.resize(warp + 1);
        place.requests.resize(warp + 1);
    }
    place.counts[warp].resize(32);
    const uint32_t n = place.counts[warp][lane]++;
    if (place.requests[warp].size() <= n)
        place.requests[warp].resize(n + 1);
    Request& request = place.requests[warp][n];
    request.lanes |= 1u << lane;
    request.bytes = bytes;
    request.addresses[lane] = address;
}

// Lanes are served together as long as they need 128 bytes at most: 32 lanes of four bytes, eight of sixteen. Different words of
// one bank need a pass each.
uint64_t AccessRecorder::wavefronts(const Request& request, uint64_t& ideal)
{
    const uint32_t together = request.bytes <= 4 ? 32 : request.bytes == 8 ? 16 : 8;
    uint64_t total = 0;
    for (uint32_t first = 0; first < 32; first += together) {
        std::set<uint64_t> banks[32];
        uint64_t most = 0;
        for (uint32_t lane = first; lane < first + together; ++lane)
            if (request.lanes >> lane & 1)
                for (uint64_t word = request.addresses[lane] / 4; word <= (request.addresses[lane] + request.bytes - 1) / 4; ++word) {
                    std::set<uint64_t>& bank = banks[word % 32];
                    bank.insert(word);
                    most = std::max<uint64_t>(most, bank.size());
                }
        total += most;
        ideal += most > 0 ? 1 : 0;
    }
    return total;
}

uint64_t AccessRecorder::sectors(const Request& request, uint64_t& ideal)
{
    std::set<uint64_t> touched, bytes;
    for (uint32_t lane = 0; lane < 32; ++lane)
        if (request.lanes >> lane & 1)
            for (uint64_t byte = request.addresses[lane]; byte < request.addresses[lane] + request.bytes; ++byte) {
                touched.insert(byte / 32);
                bytes.insert(byte);
            }
    ideal += (bytes.size() + 31) / 32;
    return touched.size();
}

void AccessRecorder::evaluate(AccessReport& report)
{
    for (const auto& [key, place] : places_) {
        const std::string file = place.site.file != nullptr ? place.site.file : "?";
        AccessCounts& counts = report[std::string(place.shared ? "shared " : "global ") + place.site.operation + " at "
                                      + file.substr(file.rfind('/') + 1) + ":" + std::to_string(place.site.line)];
        for (const std::vector<Request>& warp : place.requests)
            for (const Request& request : warp) {
                ++counts.requests;
                counts.units += place.shared ? wavefronts(request, counts.ideal_units) : sectors(request, counts.ideal_units);
            }
    }
    places_.clear();
}

} // namespace emulator
