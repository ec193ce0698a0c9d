// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// How an assertion speaks: it names the requirement that broke and says in one sentence what was
// seen. The harness collects these reports; they never stop or print by themselves.
package sva_pkg;

  import "DPI-C" function void sva_fired(input string id, input string text);

endpackage
