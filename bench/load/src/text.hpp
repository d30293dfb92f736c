// Figures as text, for the table and the plot.
#pragma once

#include <galley/core/time.hpp>
#include <galley/load/run.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace galley::inline v1::load {

/// "12.3 us": three digits and a unit that suits.
std::string brief(Duration duration);
/// The same; "-" for none.
std::string brief(const std::optional<Duration>& duration);
/// "1234" or "12.3": no more digits than mean something.
std::string brief(double value);
/// A verdict for people: what is not valid stands out.
std::string_view label(Verdict verdict) noexcept;

}  // namespace galley::inline v1::load
