// What could have been done by whoever had known.
#pragma once

#include <rivals/triton.hpp>
#include <sim/engine.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace bench::sim {

/// The least each request can take, whoever decides and whatever they know of the future and of the
/// noise, in order of arrival on one executor that drops nothing. Each bound is reached by some
/// schedule, all of them at once by none.
///
/// E(j), when the first j requests can be done at the earliest, is the least of
/// max(E(j − b), arrival of j) + cost of that batch, over its sizes b: an executor that is free
/// earlier is never worse off. Costs do not fall with the size, so request j is done at E(j) at
/// best.
std::vector<Duration> floor_of(const World& world);

/// Goodput that no scheduler exceeds (but for the noise of batches): rows one by one, each at the
/// cost per row of the best size, those dropped that would be late. Any batch is a slower way to do
/// that, and with equal rows that are due in order of arrival this answers the most in time.
double goodput_bound(const World& world);

/// The figures of the greedy scheduler with the maximum batch that has the lowest p99 in this
/// world, of all that a curve's points suggest; and that maximum.
struct BestFixed {
  std::size_t maximum = 1;
  Figures figures;
};
BestFixed best_fixed(const World& world);

/// The Triton batcher with the lowest p99 in this world: over maximum, delay and preferred sizes.
rivals::Triton tuned_triton(const World& world);

/// In words: "max 4, preferred sizes".
std::string text_of(const rivals::Triton& triton);

}  // namespace bench::sim
