// The contract suite for combiners: what ours keep, and yours has to.
#pragma once

#include <galley/core/outcomes.hpp>
#include <galley/policy/combine.hpp>
#include <galley/testing/contracts/failure.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Checks the obligations of `Combiner` over thousands of votes of `members` members, drawn from
/// `samples`, errors and silence. Empty when it keeps them.
///
/// `same` compares two of its answers, with a tolerance where whole batches are combined otherwise
/// than rows.
///
/// Example  examples/ensemble.cpp
template <class Mid, class C, class Same = std::equal_to<>>
  requires(Combiner<C, Mid> && std::copy_constructible<Mid>)
std::vector<ContractFailure> check_combiner(const C& combiner, std::size_t members,
                                            const std::vector<Mid>& samples, Same same = {},
                                            std::uint64_t seed = 1);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class Mid, class C, class Same, class Mode>
class CombinerContract {
 public:
  using Out = CombinedOf<C, Mid>;

  CombinerContract(const C& combiner, std::size_t members, const std::vector<Mid>& samples,
                   Same same, std::uint64_t seed)
      : combiner_(combiner),
        members_(members),
        samples_(samples),
        same_(std::move(same)),
        state_(seed) {}

  std::vector<ContractFailure> run() {
    if (!takes_members()) return std::move(failures_);
    nobody();
    if (!samples_.empty()) {
      for (int i = 0; i < 4000 && failures_.size() < 8; ++i) rows();
      for (int i = 0; i < 400 && failures_.size() < 8; ++i) batches();
      for (const Mid& sample : samples_) only(sample);
    }
    return std::move(failures_);
  }

 private:
  using Said = std::vector<Vote<Mid>>;
  using Call = CombineCall<Mode>;

  ContractReport report(std::string_view obligation) { return {failures_, obligation}; }
  /// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
  std::size_t below(std::size_t bound) {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
    return static_cast<std::size_t>((z ^ z >> 31U) % bound);
  }

  Vote<Mid> value() { return {.value = &samples_[below(samples_.size())]}; }
  Said draw() {
    Said votes(members_);
    const std::size_t silence = below(3), failures = below(3);
    for (Vote<Mid>& vote : votes) {
      if (below(4) < silence) continue;
      vote = below(6) < failures ? Vote<Mid>{.error = &error_} : value();
    }
    return votes;
  }
  /// The same, and those that were silent speak.
  Said complete(Said votes) {
    for (Vote<Mid>& vote : votes) {
      if (vote.is_open()) vote = below(3) == 0 ? Vote<Mid>{.error = &error_} : value();
    }
    return votes;
  }

  Result<Out> combine(const Said& votes) const {
    return Mode::template call<Out>(
        [&]() -> Result<Out> { return Call::combine(combiner_, Votes<Mid>(votes)); });
  }
  bool agree(const Result<Out>& a, const Result<Out>& b) {
    if (a.has_value() != b.has_value()) return false;
    return a.has_value() ? same_(*a, *b) : a.status() == b.status();
  }
  static std::string text(const Said& votes) {
    std::string all = "with votes ";
    for (const Vote<Mid>& vote : votes) {
      all += vote.has_value() ? 'v' : vote.is_open() ? '?' : 'e';
    }
    return all;
  }
  static std::string text(const Result<Out>& result) {
    return result.has_value() ? "another value" : to_string(result.error());
  }

  bool takes_members() {
    if constexpr (requires { combiner_.check(members_); }) {
      const Result<void> fits = combiner_.check(members_);
      return report("it can combine that many members")
          .expect(fits.has_value(), fits.has_value() ? "" : to_string(fits.error()));
    }
    return true;
  }

  void nobody() {
    ContractReport fails = report("of votes without any value it gives an error");
    fails.expect(!combine(Said(members_)).has_value(), "a value of silence");
    fails.expect(!combine(Said(members_, Vote<Mid>{.error = &error_})).has_value(),
                 "a value of errors");
  }

  void rows() {
    const Said votes = draw();
    const Result<Out> first = combine(votes);
    report("equal votes give equal answers").expect(agree(first, combine(votes)), text(votes));
    if constexpr (DecidesEarly<C, Mid>) {
      const Result<bool> decided =
          Mode::template call<bool>([&] { return Call::decided(combiner_, Votes<Mid>(votes)); });
      if (!decided.has_value() || !*decided) return;
      const Said all = complete(votes);
      const Result<Out> then = combine(all);
      report("a decided vote stays as it is")
          .expect(agree(first, then),
                  text(votes) + " decided, and " + text(then) + " " + text(all));
    }
  }

  /// Whole batches, of which each member answers all or none.
  void batches() {
    if constexpr (CombinesBatches<C, Mid>) {
      const std::size_t n = 1 + below(6);
      std::vector<Rows<Mid>> said(members_);
      std::vector<const Rows<Mid>*> given(members_);
      const std::size_t certain = below(members_);
      for (std::size_t m = 0; m < members_; ++m) {
        if (m != certain && below(4) == 0) continue;
        for (std::size_t i = 0; i < n; ++i) said[m].push_back(Mid(*value().value));
        given[m] = &said[m];
      }
      const auto at_once = Call::combine_rows(combiner_, BatchVotes<Mid>{given, n, nullptr});
      if (!at_once.has_value()) return;
      ContractReport equal = report("a batch gives what its rows give");
      if (!equal.expect(at_once->size() == n,
                        std::to_string(at_once->size()) + " rows of " + std::to_string(n))) {
        return;
      }
      for (std::size_t i = 0; i < n; ++i) {
        std::vector<std::optional<Mid>> held(members_);
        Said votes(members_);
        for (std::size_t m = 0; m < members_; ++m) {
          if (given[m] == nullptr) continue;
          votes[m].value = &held[m].emplace(std::as_const(said[m])[i]);
        }
        const Result<Out> alone = combine(votes);
        const Outcomes<Out> batch{Rows<Out>::single(Out(std::as_const(*at_once)[i]))};
        equal.expect(agree(batch[0].result(), alone),
                     "row " + std::to_string(i) + ", " + text(alone) + " alone, " + text(votes));
      }
    }
  }

  void only(const Mid& sample) {
    if constexpr (requires { requires C::keeps_only_vote; } && std::same_as<Out, Mid>) {
      const Result<Out> kept = combine({Vote<Mid>{.value = &sample}});
      report("of one member it gives what that said")
          .expect(kept.has_value() && same_(*kept, sample), text(kept));
    }
  }

  const C& combiner_;
  std::size_t members_;
  const std::vector<Mid>& samples_;
  Same same_;
  std::uint64_t state_;
  const Error error_{Status::unavailable, "drawn"};
  std::vector<ContractFailure> failures_;
};

}  // namespace detail

template <class Mid, class C, class Same>
  requires(Combiner<C, Mid> && std::copy_constructible<Mid>)
std::vector<ContractFailure> check_combiner(const C& combiner, std::size_t members,
                                            const std::vector<Mid>& samples, Same same,
                                            std::uint64_t seed) {
  return detail::CombinerContract<Mid, C, Same, detail::ExceptionMode>(combiner, members, samples,
                                                                       std::move(same), seed)
      .run();
}

}  // namespace galley::inline v1
