// Combiners: what the votes of an ensemble's members on one row become.
#pragma once

#include <galley/core/exceptions.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// What one member said of one row: a value, an error, or nothing yet. Borrowed.
template <class Mid>
struct Vote {
  const Mid* value = nullptr;
  const Error* error = nullptr;

  bool has_value() const noexcept { return value != nullptr; }
  /// It has not answered, and may still do so or be left out for good.
  bool is_open() const noexcept { return value == nullptr && error == nullptr; }
};

/// What the members of an ensemble said of one row, in the members' order. A view.
template <class Mid>
class Votes {
 public:
  explicit Votes(std::span<const Vote<Mid>> votes) noexcept : votes_(votes) {}

  /// How many members there are, whether they answered or not.
  std::size_t size() const noexcept { return votes_.size(); }
  const Vote<Mid>& operator[](std::size_t member) const noexcept { return votes_[member]; }
  auto begin() const noexcept { return votes_.begin(); }
  auto end() const noexcept { return votes_.end(); }

  /// How many votes have a value.
  std::size_t answered() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(votes_, [](const Vote<Mid>& vote) { return vote.has_value(); }));
  }
  /// How many votes are open.
  std::size_t open() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(votes_, [](const Vote<Mid>& vote) { return vote.is_open(); }));
  }
  /// The earliest value, or null where there is none.
  const Mid* first() const noexcept {
    for (const Vote<Mid>& vote : votes_) {
      if (vote.has_value()) return vote.value;
    }
    return nullptr;
  }

 private:
  std::span<const Vote<Mid>> votes_;
};

/// What the members said of a whole batch, where each of them answered either every row or none.
template <class Mid>
struct BatchVotes {
  /// One for each member, null for one that answered none; not all are null.
  std::span<const Rows<Mid>* const> members;
  std::size_t rows = 0;
  /// Lent for what is made here, or null.
  Workspace* workspace = nullptr;
};

/// Names and texts of what a policy was made with.
using OptionTexts = std::vector<std::pair<std::string, std::string>>;

namespace detail {

/// Calls what a combiner's author wrote. By the mode, so that what an exception passes through was
/// compiled for it.
template <class Mode>
struct CombineCall {
  template <class C, class V>
    requires(std::invocable<const C&, const V&>)
  static decltype(auto) combine(const C& c, const V& votes) {
    return c(votes);
  }
  template <class C, class V>
    requires(!std::invocable<const C&, const V&> &&
             requires(const C& c, const V& votes) { c.combine(votes); })
  static decltype(auto) combine(const C& c, const V& votes) {
    return c.combine(votes);
  }
  template <class C, class V>
  static bool decided(const C& c, const V& votes) {
    return c.decided(votes);
  }
  template <class C, class V>
  static auto combine_rows(const C& c, const V& votes) {
    return c.combine_rows(votes);
  }
};

template <class T>
struct WithoutResultOf {
  using type = T;
};
template <class T>
struct WithoutResultOf<Result<T>> {
  using type = T;
};

inline Error nobody_voted(const char* combiner) {
  return Error(Status::internal, std::string(combiner) + ": no member has answered");
}

}  // namespace detail

/// How the votes on a row become one answer. Shipped in `policy/combine/`: `First`, `Mean`,
/// `WeightedMean`, `MajorityVote`, `SoftVote`, `MaxConfidence`, `Stack`.
///
/// `combine(const Votes<Mid>&)` gives the answer or a `Result` of it; a plain function of the votes
/// is a combiner too. Besides, as needed:
/// - `bool decided(const Votes<Mid>&)`: whatever the open votes will be, the answer is what
///   `combine` gives now. Members that are not needed any more are then not asked.
/// - `std::optional<Rows<Out>> combine_rows(const BatchVotes<Mid>&)`: the same for a whole batch at
///   once, or nothing where the rows have to be looked at one by one.
/// - `Result<void> check(std::size_t members)`: whether it can combine that many.
/// - `static constexpr const char* name`, or `std::string_view name()` where it is chosen later,
///   and `OptionTexts options()`, for people.
/// - `static constexpr bool keeps_only_vote = true`: of a single member it gives what that said.
///
/// 1. It is pure: equal votes give equal answers; no clock, no state, callable from any thread.
/// 2. It never reads a vote that has no value. Of votes without any value it gives an error.
/// 3. `decided` is never true while an open vote, or its failing, can change the answer.
/// 4. `combine_rows` gives what `combine` gives row by row.
///
/// The contract suite is `testing/contracts/combiner.hpp`.
template <class C, class Mid>
concept Combiner =
    std::move_constructible<C> && requires(const C& combiner, const Votes<Mid>& votes) {
      detail::CombineCall<detail::NoExceptions>::combine(combiner, votes);
    };

/// What a combiner makes of votes of Mid.
template <class C, class Mid>
  requires(Combiner<C, Mid>)
using CombinedOf = typename detail::WithoutResultOf<
    std::remove_cvref_t<decltype(detail::CombineCall<detail::NoExceptions>::combine(
        std::declval<const C&>(), std::declval<const Votes<Mid>&>()))>>::type;

/// A combiner that knows when further votes cannot change the answer.
template <class C, class Mid>
concept DecidesEarly = Combiner<C, Mid> && requires(const C& combiner, const Votes<Mid>& votes) {
  { combiner.decided(votes) } -> std::same_as<bool>;
};

/// A combiner that takes whole batches.
template <class C, class Mid>
concept CombinesBatches =
    Combiner<C, Mid> && requires(const C& combiner, const BatchVotes<Mid>& votes) {
      { combiner.combine_rows(votes) } -> std::same_as<std::optional<Rows<CombinedOf<C, Mid>>>>;
    };

}  // namespace galley::inline v1
