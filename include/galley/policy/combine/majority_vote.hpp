// MajorityVote: the combiner that takes the label most members gave.
#pragma once

#include <galley/policy/combine.hpp>

#include <concepts>
#include <cstddef>

namespace galley::inline v1 {

/// The label that most of the members gave which answered; of labels with equally many votes, the
/// one that the earliest member gave. A label that does not equal itself (NaN) has one vote.
///
/// Errors  internal: no member has answered
/// Cost    comparisons in proportion to the square of the members, one copy of the label
struct MajorityVote {
  static constexpr const char* name = "majority_vote";
  static constexpr bool keeps_only_vote = true;

  template <class Label>
    requires(std::copy_constructible<Label> && std::equality_comparable<Label>)
  Result<Label> combine(const Votes<Label>& votes) const {
    const Lead<Label> lead = count(votes);
    if (lead.label == nullptr) return detail::nobody_voted(name);
    return *lead.label;
  }

  /// No other label, named or not yet, can have as many votes.
  template <class Label>
    requires(std::equality_comparable<Label>)
  bool decided(const Votes<Label>& votes) const {
    const Lead<Label> lead = count(votes);
    return lead.label != nullptr && lead.votes > lead.next + votes.open();
  }

 private:
  template <class Label>
  struct Lead {
    const Label* label = nullptr;
    std::size_t votes = 0;
    std::size_t next = 0;  // of the label after it
  };

  template <class Label>
  static Lead<Label> count(const Votes<Label>& all) {
    Lead<Label> lead;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Label* label = all[i].value;
      if (label == nullptr || was_counted(all, i)) continue;
      std::size_t votes = 1;
      for (std::size_t j = i + 1; j < all.size(); ++j) {
        if (all[j].has_value() && *all[j].value == *label) ++votes;
      }
      if (votes > lead.votes) {
        lead = {label, votes, lead.votes};
      } else if (votes > lead.next) {
        lead.next = votes;
      }
    }
    return lead;
  }

  template <class Label>
  static bool was_counted(const Votes<Label>& all, std::size_t i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[j].has_value() && *all[j].value == *all[i].value) return true;
    }
    return false;
  }
};

}  // namespace galley::inline v1
