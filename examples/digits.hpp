// The handwritten digits of examples/data/digits.csv, and the one split that training and serving
// agree on.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace digits {

inline constexpr std::size_t side = 8;
inline constexpr std::size_t pixel_count = side * side;
inline constexpr int max_ink = 16;
inline constexpr int class_count = 10;
inline constexpr std::size_t train_count = 1347;
inline constexpr std::uint64_t split_seed = 1998;

/// One handwritten digit: its pixels row by row, 0 (no ink) to 16, and what it shows.
struct Digit {
  std::array<std::uint8_t, pixel_count> pixels{};
  int label = 0;
};

/// The digits of a file, or what is wrong with it: `error` is empty on success.
struct Loaded {
  std::vector<Digit> digits;
  std::string error;
};

/// The digits a model may learn from, and those kept to judge it.
struct Split {
  std::vector<Digit> train;
  std::vector<Digit> held_out;
};

/// Puts `items` in an order that depends on `rng` only, the same with every standard library
/// (which std::shuffle does not promise).
template <class T>
void shuffle(std::span<T> items, std::mt19937_64& rng) {
  for (std::size_t left = items.size(); left > 1; --left) {
    std::swap(items[left - 1], items[static_cast<std::size_t>(rng() % left)]);
  }
}

/// Takes one number in [0, max] and the comma behind it, if any, off the front of `line`; -1 if
/// there is none.
inline int take_number(std::string_view& line, int max) {
  int number = -1;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{} || number < 0 || number > max) return -1;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  if (line.starts_with(',')) line.remove_prefix(1);
  return number;
}

namespace detail {

/// Reads 64 pixels and a label; nothing if `line` is anything else.
inline std::optional<Digit> parse(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.ends_with(',')) return std::nullopt;
  Digit digit;
  for (std::uint8_t& pixel : digit.pixels) {
    const int ink = take_number(line, max_ink);
    if (ink < 0) return std::nullopt;
    pixel = static_cast<std::uint8_t>(ink);
  }
  digit.label = take_number(line, class_count - 1);
  if (digit.label < 0 || !line.empty()) return std::nullopt;
  return digit;
}

}  // namespace detail

/// Reads every digit of the CSV file at `path`: one a line, 64 pixels and the label.
inline Loaded read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {.digits = {}, .error = "cannot open " + path};
  Loaded loaded;
  for (std::string line; std::getline(file, line);) {
    const std::optional<Digit> digit = detail::parse(line);
    if (!digit) {
      const std::string where = path + ":" + std::to_string(loaded.digits.size() + 1);
      return {.digits = {}, .error = where + ": want 64 pixels in 0..16 and a label in 0..9"};
    }
    loaded.digits.push_back(*digit);
  }
  if (loaded.digits.size() <= train_count) {
    return {.digits = {},
            .error = path + ": got " + std::to_string(loaded.digits.size()) +
                     " digits, want more than " + std::to_string(train_count)};
  }
  return loaded;
}

/// Splits the digits at random, with `split_seed`: the first 1347 to train with, the rest held out.
inline Split split(std::vector<Digit> all) {
  std::mt19937_64 rng(split_seed);
  shuffle(std::span(all), rng);
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(train_count);
  return {.train = {all.begin(), middle}, .held_out = {middle, all.end()}};
}

}  // namespace digits
