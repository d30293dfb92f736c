#include <src/text.hpp>

#include <fmt/format.h>

namespace galley::inline v1::load {

std::string brief(double value) {
  return fmt::format("{:.{}f}", value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

std::string brief(Duration duration) {
  const auto nanoseconds = static_cast<double>(duration.count());
  if (nanoseconds < 1e3) return fmt::format("{} ns", duration.count());
  if (nanoseconds < 1e6) return brief(nanoseconds / 1e3) + " us";
  if (nanoseconds < 1e9) return brief(nanoseconds / 1e6) + " ms";
  return brief(nanoseconds / 1e9) + " s";
}

std::string brief(const std::optional<Duration>& duration) {
  return duration ? brief(*duration) : "-";
}

std::string_view label(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::valid:
      return "valid";
    case Verdict::void_lag:
      return "VOID: generator lag";
    case Verdict::too_fast:
      return "unjudged: too fast";
    case Verdict::unanswered:
      return "GAVE UP";
    case Verdict::no_answers:
      return "no answers";
    case Verdict::wrong_answers:
      return "WRONG ANSWERS";
  }
  return "unknown";
}

}  // namespace galley::inline v1::load
