#include <sim/curve.hpp>

namespace bench::sim {

Curve::Curve(std::string name, std::vector<std::pair<std::size_t, std::int64_t>> points,
             Duration objective)
    : name_(std::move(name)), objective_(objective), costs_(points.back().first + 1) {
  std::size_t low = 1;
  std::int64_t at_low = points.front().second;
  for (const auto& [high, at_high] : points) {
    for (std::size_t rows = low; rows <= high; ++rows) {
      const auto part = static_cast<std::int64_t>(rows - low);
      const auto whole = static_cast<std::int64_t>(high == low ? 1 : high - low);
      costs_[rows] = Duration(1000 * at_low + 1000 * (at_high - at_low) * part / whole);
    }
    low = high;
    at_low = at_high;
  }
  const auto faster = [&](std::size_t a, std::size_t b) {  // per row, in whole numbers
    return at(a).count() * static_cast<std::int64_t>(b) <
           at(b).count() * static_cast<std::int64_t>(a);
  };
  records_.push_back(1);
  for (const auto& point : points) {
    if (faster(point.first, records_.back())) records_.push_back(point.first);
  }
  for (std::size_t rows = 2; rows <= limit(); ++rows) {
    if (faster(rows, best_)) best_ = rows;
  }
}

const std::vector<Curve>& curves() {
  using std::chrono::milliseconds;
  // Measured on one thread, but for gpu-like, which is 1000 + 30 b, and compute-bound, 20 + 300 b.
  static const std::vector<Curve> all = {
      {"mlp784",
       {{1, 91}, {2, 140}, {4, 329}, {8, 441}, {16, 497}, {32, 702}, {64, 1024}},
       milliseconds(5)},
      {"gpu-like",
       {{1, 1030}, {2, 1060}, {4, 1120}, {8, 1240}, {16, 1480}, {32, 1960}, {64, 2920}},
       milliseconds(10)},
      {"cnn",
       {{1, 654}, {2, 972}, {4, 1648}, {8, 4580}, {16, 12024}, {32, 22080}},
       milliseconds(20)},
      {"compute-bound",
       {{1, 320}, {2, 620}, {4, 1220}, {8, 2420}, {16, 4820}, {32, 9620}, {64, 19220}},
       milliseconds(20)},
      {"frozen-cnn",
       {{1, 82},
        {2, 287},
        {3, 369},
        {4, 465},
        {6, 637},
        {8, 773},
        {12, 1099},
        {16, 1996},
        {24, 2890},
        {32, 3742},
        {64, 7295},
        {128, 15122}},
       milliseconds(5)},
  };
  return all;
}

}  // namespace bench::sim
