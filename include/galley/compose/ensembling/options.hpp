// What may be said of an ensemble and asked of it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/policy/fork.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A member of an ensemble: a servable, and the vote it is taken to have given where it has none.
template <class In, class Mid>
struct Member {
  Servable<In, Mid> servable;
  /// Stands in where the member fails a row or is left out, and counts as an answer; not for a row
  /// that no member answers. None by default.
  std::optional<Mid> otherwise = {};
};

/// `servable` as a member, with a vote to stand in for it if wanted.
template <class In, class Mid>
Member<In, Mid> member(Servable<In, Mid> servable,
                       std::type_identity_t<std::optional<Mid>> otherwise = {}) {
  return {std::move(servable), std::move(otherwise)};
}

/// How an ensemble votes.
struct EnsembleOptions {
  /// How many members must have answered a row; of fewer it fails. 0: all, or as many as decide the
  /// vote where the combiner can tell.
  std::size_t quorum = 0;
  /// How long after the start members that have not answered are left out; zero: the row's deadline
  /// alone does that. Members then run on the executor only, so that none of them holds the
  /// caller. Needs an executor.
  Duration cut_off = Duration::zero();
  /// Whether members are handed to other threads. Without an executor none is.
  enum class Fork : std::uint8_t {
    when_it_pays,  ///< Where that is predicted to save more than waking the threads costs.
    always,        ///< As far as there are workers.
    never,
  } fork = Fork::when_it_pays;

  friend bool operator==(const EnsembleOptions&, const EnsembleOptions&) = default;
};

/// The enumerator's own name.
constexpr std::string_view to_string(EnsembleOptions::Fork fork) noexcept {
  constexpr std::string_view names[] = {"when_it_pays", "always", "never"};
  return names[static_cast<std::size_t>(fork)];
}

/// What an ensemble counts: `servable.control(path, statistics)` fills it in.
struct EnsembleStatistics {
  /// In rows.
  struct OfMember {
    std::string name;
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;
    /// Not asked because the vote was over, or not waited for.
    std::uint64_t cut_off = 0;
    friend bool operator==(const OfMember&, const OfMember&) = default;
  };
  std::vector<OfMember> members;
  std::uint64_t forked = 0;       ///< Batches that several threads worked at.
  std::uint64_t inline_runs = 0;  ///< Batches whose members one thread asked in turn.
};

namespace detail {

inline Result<void> check_ensemble(std::size_t members, const EnsembleOptions& options,
                                   bool has_executor) {
  const auto refused = [](std::string why) {
    return Error(Status::failed_precondition, std::move(why));
  };
  if (members == 0 || members > ForkPlan::most) {
    return refused("expected 1 to " + std::to_string(ForkPlan::most) + " members, got " +
                   std::to_string(members));
  }
  if (options.quorum > members) {
    return refused("options.quorum: expected at most " + std::to_string(members) +
                   ", as there are members, got " + std::to_string(options.quorum));
  }
  if (options.cut_off < Duration::zero()) {
    return refused("options.cut_off: expected no negative time, got " +
                   std::to_string(options.cut_off.count()) + " ns");
  }
  if (options.cut_off > Duration::zero() && !has_executor) {
    return refused("options.cut_off: needs an executor, whose time it is");
  }
  return {};
}

}  // namespace detail

}  // namespace galley::inline v1
