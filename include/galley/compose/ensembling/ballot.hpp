// The ballot: members' answers as votes row by row, and what becomes of them.
#pragma once

#include <galley/compose/ensembling/few.hpp>
#include <galley/compose/ensembling/options.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/policy/combine.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What a member answered to a batch, or to those rows of it that it was asked. A view.
template <class Mid>
struct AnswerView {
  const Outcomes<Mid>* outcomes = nullptr;       // null: it has not answered
  const std::vector<RowIndex>* asked = nullptr;  // ascending; null: all of them
};

/// Walks through the rows of a batch in order and says what each member said of them.
template <class Mid>
class RowVotes {
 public:
  explicit RowVotes(std::span<const AnswerView<Mid>> answers)
      : answers_(answers), places_(answers.size()), votes_(answers.size()) {}

  /// The votes on the next row, at first of row 0; good until the next call.
  std::span<Vote<Mid>> next() {
    for (std::size_t m = 0; m < answers_.size(); ++m) votes_[m] = vote(answers_[m], places_[m]);
    ++row_;
    return votes_.span();
  }

 private:
  static constexpr bool by_reference =
      std::same_as<decltype(std::declval<const Rows<Mid>&>()[0]), const Mid&>;
  struct ByReference {};
  /// How far a member's answers are read.
  struct Place {
    std::size_t asked = 0;
    std::size_t survivor = 0;
    std::size_t casualty = 0;
    // Of rows that are made when they are read, the one that the vote shows.
    std::conditional_t<by_reference, ByReference, std::optional<Mid>> held = {};
  };

  Vote<Mid> vote(const AnswerView<Mid>& answer, Place& place) const {
    if (answer.outcomes == nullptr) return {};
    std::size_t row = row_;
    if (answer.asked != nullptr) {
      const std::vector<RowIndex>& asked = *answer.asked;
      if (place.asked == asked.size() || asked[place.asked] != row_) return {};
      row = place.asked++;
    }
    const std::span<const Casualty> casualties = answer.outcomes->casualties().span();
    if (place.casualty < casualties.size() && casualties[place.casualty].row == row) {
      return {.error = &casualties[place.casualty++].error};
    }
    if constexpr (by_reference) {
      return {.value = &answer.outcomes->survivors()[place.survivor++]};
    } else {
      return {.value = &place.held.emplace(answer.outcomes->survivors()[place.survivor++])};
    }
  }

  std::span<const AnswerView<Mid>> answers_;
  FewOf<Place> places_;
  FewOf<Vote<Mid>> votes_;
  std::size_t row_ = 0;
};

/// How votes are counted: the combiner, the quorum and the defaults.
template <class In, class Mid, class C, class Mode>
class Ballot {
 public:
  using Out = CombinedOf<C, Mid>;
  using Answers = std::span<const AnswerView<Mid>>;
  static constexpr bool decides = DecidesEarly<C, Mid>;

  Ballot(std::string name, C combiner, std::vector<Member<In, Mid>> members,
         EnsembleOptions options)
      : name_(std::move(name)),
        combiner_(std::move(combiner)),
        members_(std::move(members)),
        options_(options) {
    for (const auto& one : members_) any_default_ = any_default_ || one.otherwise.has_value();
  }

  const std::string& name() const noexcept { return name_; }
  const C& combiner() const noexcept { return combiner_; }
  const EnsembleOptions& options() const noexcept { return options_; }
  std::size_t size() const noexcept { return members_.size(); }
  const Member<In, Mid>& operator[](std::size_t m) const noexcept { return members_[m]; }
  auto begin() const noexcept { return members_.begin(); }
  auto end() const noexcept { return members_.end(); }

  /// True where a single member's answer is the ensemble's, whatever it is.
  bool is_only_vote() const noexcept {
    if constexpr (std::same_as<Out, Mid> && requires { requires C::keeps_only_vote; }) {
      return size() == 1 && !any_default_;
    } else {
      return false;
    }
  }

  /// Those of the rows `among` (all `rows` where null) whose outcome other answers may still
  /// change.
  std::vector<RowIndex> undecided(std::size_t rows, Answers answers,
                                  const std::vector<RowIndex>* among) const {
    std::vector<RowIndex> open;
    RowVotes<Mid> walk(answers);
    std::size_t next = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      const std::span<Vote<Mid>> votes = walk.next();
      if (among != nullptr) {
        if (next == among->size()) break;
        if ((*among)[next] != row) continue;
        ++next;
      }
      if (!is_over(votes)) open.push_back(static_cast<RowIndex>(row));
    }
    return open;
  }

  /// True when no further answer can change any row's outcome.
  bool all_over(std::size_t rows, Answers answers) const {
    RowVotes<Mid> walk(answers);
    for (std::size_t row = 0; row < rows; ++row) {
      if (!is_over(walk.next())) return false;
    }
    return true;
  }

  /// What becomes of each row; whoever has not answered does not any more, for the reason
  /// `left_out`.
  Outcomes<Out> outcomes(std::size_t rows, Answers answers, const Error& left_out,
                         Workspace* workspace) const {
    if constexpr (CombinesBatches<C, Mid>) {
      std::optional<Rows<Out>> at_once = combine_rows(rows, answers, workspace);
      if (at_once.has_value()) return Outcomes<Out>(*std::move(at_once));
    }
    Outcomes<Out> combined(make_rows<Out>(rows, workspace));
    RowVotes<Mid> walk(answers);
    for (std::size_t row = 0; row < rows; ++row) {
      Result<Out> one = outcome(walk.next(), left_out);
      if (one.has_value()) [[likely]] {
        combined.survivors().push_back(*std::move(one));
      } else {
        combined.casualties().append(row, std::move(one).error());
      }
    }
    return combined;
  }

 private:
  using Call = CombineCall<Mode>;

  /// A member that failed has voted where it has a default, and so has one left out.
  void stand_in(std::span<Vote<Mid>> votes, const Error* left_out) const {
    for (std::size_t m = 0; m < votes.size() && (any_default_ || left_out != nullptr); ++m) {
      if (votes[m].has_value() || (votes[m].is_open() && left_out == nullptr)) continue;
      if (members_[m].otherwise.has_value()) votes[m] = {.value = &*members_[m].otherwise};
    }
  }

  bool decided(const Votes<Mid>& votes) const {
    if constexpr (decides) {
      const Result<bool> is =
          Mode::template call<bool>([&] { return Call::decided(combiner_, votes); });
      return is.has_value() && *is;
    } else {
      return false;
    }
  }

  /// True when further answers change nothing: the vote is decided, or the quorum cannot be reached
  /// and whose error is told is known.
  bool is_over(std::span<Vote<Mid>> all) const {
    const Votes<Mid> votes(all);
    const bool any = votes.first() != nullptr;
    stand_in(all, nullptr);
    const std::size_t answered = votes.answered();
    const std::size_t open = votes.open();
    if (open == 0) return true;
    if (any && answered >= options_.quorum && decided(votes)) return true;
    if (decides && options_.quorum == 0) return false;
    const std::size_t wanted = options_.quorum == 0 ? size() : options_.quorum;
    if (answered + open >= wanted) return false;
    const auto first = std::ranges::find_if(votes, [](auto& vote) { return !vote.has_value(); });
    return !first->is_open();
  }

  Result<Out> outcome(std::span<Vote<Mid>> all, const Error& left_out) const {
    const Votes<Mid> votes(all);
    if (votes.first() == nullptr) [[unlikely]]
      return too_few(votes, 0, left_out);  // of defaults alone nothing is made
    stand_in(all, &left_out);
    const std::size_t answered = votes.answered();
    const bool enough =
        options_.quorum != 0 ? answered >= options_.quorum : answered == size() || decided(votes);
    if (!enough) [[unlikely]]
      return too_few(votes, answered, left_out);
    Result<Out> combined =
        Mode::template call<Out>([&]() -> Result<Out> { return Call::combine(combiner_, votes); });
    if (!combined.has_value()) [[unlikely]]
      return within(name_, std::move(combined).error());
    return combined;
  }

  /// Says how many were wanted, and why the first of those is missing that nothing stands in for.
  Error too_few(const Votes<Mid>& votes, std::size_t answered, const Error& left_out) const {
    const auto missing = [&](std::size_t m) { return !votes[m].has_value(); };
    std::size_t m = 0;
    while (m < size() && !(missing(m) && !members_[m].otherwise.has_value())) ++m;
    if (m == size()) m = 0;  // all have defaults, and none of them answered
    Error why = votes[m].is_open() ? left_out : *votes[m].error;
    if (is_only_vote() && !votes[m].is_open()) return why;
    const std::string& who = members_[m].servable.name();
    if (why.detail.starts_with(who + ": ")) why.detail.erase(0, who.size() + 2);
    if (why.detail.empty()) why.detail = to_string(why.status);
    const std::string of = " of " + std::to_string(size()) + " members answered";
    const std::string wanted = std::to_string(options_.quorum == 0 ? size() : options_.quorum);
    // Whoever is certain to be outvoted is not asked: there the count would depend on the schedule.
    std::string how = decides && options_.quorum == 0
                          ? std::to_string(answered) + of + ", which does not decide the vote"
                          : "fewer than " + wanted + of;
    return within(how.append(": member \"").append(who).append("\""), std::move(why));
  }

  /// All rows at once, where each member answered all or none of them.
  std::optional<Rows<Out>> combine_rows(std::size_t rows, Answers answers,
                                        Workspace* workspace) const {
    FewOf<const Rows<Mid>*> members(answers.size());
    std::size_t answered = 0;
    for (std::size_t m = 0; m < answers.size(); ++m) {
      const Outcomes<Mid>* said = answers[m].outcomes;
      if (said != nullptr && answers[m].asked == nullptr && said->all_ok()) {
        members[m] = &said->survivors();
        ++answered;
      } else if (members_[m].otherwise.has_value() ||
                 (said != nullptr && !said->survivors().empty())) {
        return std::nullopt;
      }
    }
    if (answered < (options_.quorum == 0 ? size() : options_.quorum)) return std::nullopt;
    Result<std::optional<Rows<Out>>> combined =
        Mode::template call<std::optional<Rows<Out>>>([&]() -> Result<std::optional<Rows<Out>>> {
          return Call::combine_rows(combiner_, BatchVotes<Mid>{members.span(), rows, workspace});
        });
    // What goes wrong for the batch goes wrong for some row: they are looked at one by one.
    if (!combined.has_value()) return std::nullopt;
    if (combined->has_value() && (*combined)->size() != rows) return std::nullopt;
    return *std::move(combined);
  }

  std::string name_;
  C combiner_;
  std::vector<Member<In, Mid>> members_;
  EnsembleOptions options_;
  bool any_default_ = false;
};

}  // namespace galley::inline v1::detail
