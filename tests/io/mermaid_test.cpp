#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/io/mermaid.hpp>
#include <galley/testing/manual_executor.hpp>

#include <string>

#include <support/catch.hpp>

using galley::Description;
using galley::ManualExecutor;
using galley::map;
using galley::to_mermaid;

TEST_CASE("a pipeline is drawn as a row of its stages, what encloses as a box", "[io][mermaid]") {
  const ManualExecutor executor;
  const auto graph = map("decode", [](int n) { return n + 0.5; }) |
                     on(executor, map("scale", [](double x) { return x; }) |
                                      map("round", [](double x) { return static_cast<int>(x); })) |
                     map([](int n) { return n; });
  CHECK(to_mermaid(graph.describe()) ==
        "flowchart LR\n"
        "  input([\"int\"])\n"
        "  n1[\"decode<br/>map\"]\n"
        "  subgraph n2[\"on(scale | round)<br/>on\"]\n"
        "    n4[\"scale<br/>map\"]\n"
        "    n5[\"round<br/>map\"]\n"
        "    n4 --> n5\n"
        "  end\n"
        "  n1 --> n2\n"
        "  n6[\"map\"]\n"
        "  n2 --> n6\n"
        "  output([\"int\"])\n"
        "  input --> n1\n"
        "  n6 --> output\n");
}

TEST_CASE("one node alone is a drawing too", "[io][mermaid]") {
  CHECK(to_mermaid(map("same", [](int n) { return n; }).describe()) ==
        "flowchart LR\n"
        "  input([\"int\"])\n"
        "  n0[\"same<br/>map\"]\n"
        "  output([\"int\"])\n"
        "  input --> n0\n"
        "  n0 --> output\n");
}

TEST_CASE("nodes of one name are told apart, and options are shown", "[io][mermaid]") {
  Description node;
  node.kind = "ensemble";
  node.name = "three";
  node.options = {{"combine", "mean"}, {"quorum", "2"}};
  Description member;
  member.kind = "map";
  member.name = "model";
  node.children = {member, member, member};
  CHECK(to_mermaid(node) ==
        "flowchart LR\n"
        "  input([\"\"])\n"
        "  subgraph n0[\"three<br/>ensemble<br/>combine = mean<br/>quorum = 2\"]\n"
        "    n1[\"model<br/>map\"]\n"
        "    n2[\"model<br/>map\"]\n"
        "    n3[\"model<br/>map\"]\n"
        "  end\n"
        "  output([\"\"])\n"
        "  input --> n0\n"
        "  n0 --> output\n");
}

TEST_CASE("no name breaks out of its label", "[io][mermaid]") {
  Description node;
  node.kind = "end";
  node.name = "\"] --> x\n`a` <b>#35;</b> \\n & \t\x7f \xc3\xa9";
  node.input = "std::vector<int>";
  node.options = {{"op\"t", "a;b|c{d}"}};
  const std::string text = to_mermaid(node);
  CHECK(
      text.find("  n0[\"#34;] --#62; x #96;a#96; #60;b#62;#35;35;#60;/b#62; #92;n #38;    \xc3\xa9"
                "<br/>end<br/>op#34;t = a;b|c{d}\"]\n") != std::string::npos);
  CHECK(text.find("input([\"std::vector#60;int#62;\"])\n") != std::string::npos);
}

TEST_CASE("options of a node of galley's own are in its box", "[io][mermaid]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, map("model", [](int n) { return n; }), {.max_rows = 32});
  const std::string text = to_mermaid(graph.describe());
  CHECK(text.find("subgraph n0[\"batched(model)<br/>batched<br/>max_rows = 32") !=
        std::string::npos);
}
