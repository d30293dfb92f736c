// ContractFailure: what a contract suite found, whatever the test framework.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// An obligation that was not met.
struct ContractFailure {
  /// The obligation, as a sentence.
  std::string obligation;
  /// What was seen instead.
  std::string seen;

  friend bool operator==(const ContractFailure&, const ContractFailure&) = default;
};

/// "obligation: seen".
inline std::string to_string(const ContractFailure& failure) {
  return failure.obligation + ": " + failure.seen;
}

/// The failures of one obligation on their way into the list of a suite.
///
/// Threads  thread-compatible: report from the thread that runs the suite
class ContractReport {
 public:
  ContractReport(std::vector<ContractFailure>& failures, std::string_view obligation)
      : failures_(failures), obligation_(obligation) {}

  /// Adds a failure unless `met`; returns `met`.
  bool expect(bool met, std::string_view seen) {
    if (!met) failures_.push_back({std::string(obligation_), std::string(seen)});
    return met;
  }

 private:
  std::vector<ContractFailure>& failures_;
  std::string_view obligation_;
};

}  // namespace galley::inline v1
