#include <galley/policy/batch_sizes.hpp>

#include <chrono>
#include <cstddef>
#include <vector>

#include <support/catch.hpp>

using galley::CostTable;
using galley::sized_batch;
using galley::SizedBatch;
using std::chrono::microseconds;

namespace {

struct Known {
  std::size_t rows;
  int us;
};

CostTable table(const std::vector<Known>& known) {
  CostTable costs;
  for (const Known& one : known) costs.observe(one.rows, microseconds(one.us));
  return costs;
}

}  // namespace

TEST_CASE("a batch of rows is filled up or cut down to an allowed size", "[batch_sizes]") {
  struct Line {
    std::size_t rows;
    std::vector<std::size_t> sizes;
    std::vector<Known> known;
    SizedBatch expected;
  };
  const std::vector<Line> lines = {
      {5, {}, {}, {5, 5}},                         // any size is allowed
      {4, {1, 4, 8}, {}, {4, 4}},                  // it is one
      {8, {1, 4, 8}, {}, {8, 8}},                  // the largest
      {5, {1, 4, 8}, {}, {5, 8}},                  // nothing is known
      {5, {1, 4, 8}, {{4, 10}}, {5, 8}},           // nor of the larger
      {5, {1, 4, 8}, {{4, 10}, {8, 11}}, {5, 8}},  // 2.2 a row against 2.5
      {5, {1, 4, 8}, {{4, 10}, {8, 20}}, {4, 4}},  // 4 a row against 2.5
      {4, {3, 8}, {{3, 30}, {8, 40}}, {4, 8}},     // as good: more rows go
      {7, {1, 4, 8}, {{4, 10}, {8, 17}}, {7, 8}},  // 2.43 against 2.5
      {2, {4, 8}, {{4, 10}, {8, 100}}, {2, 4}},    // there is no smaller one
      {1, {1}, {}, {1, 1}},                        // the only one
  };
  for (const Line& line : lines) {
    const SizedBatch got = sized_batch(line.rows, line.sizes, table(line.known));
    INFO(line.rows << " rows: " << got.rows << " as " << got.size);
    CHECK(got == line.expected);
  }
}
