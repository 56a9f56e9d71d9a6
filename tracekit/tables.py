"""The result tables as attributes, with every column explained. Written by ``python -m tracekit.schema.attributes``."""

import polars as pl


class Tables:
    """What ``Results`` has besides methods: one LazyFrame a table, over all traces and variants."""

    def table(self, name: str) -> pl.LazyFrame:
        """One table by its name. Raises NoTable if there is none of that name."""
        raise NotImplementedError

    @property
    def variants(self) -> pl.LazyFrame:
        """One row a parameter of a variant; the module chosen for a stage is its param `module`.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``stage``: stage, or host, replay
        - ``param``: parameter
        - ``value``: resolved value, as --set would take it
        """
        return self.table("variants")

    @property
    def runs(self) -> pl.LazyFrame:
        """One row a variant and trace: where the numbers come from.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``tracekit``: version of tracekit
        - ``source``: digest of the trace files: their footers and sizes
        - ``synthetic``: the trace was synthesized, not captured
        - ``kinds``: kinds of rows that the capture has
        - ``left_out``: modules left out, and why
        - ``notes``: what was inferred about the trace rather than stated by it
        - ``vms`` (page): VMs and their sizes, as name=pages
        - ``memory`` (byte): machine memory for guest pages (less than the host's by the VMs' overhead)
        - ``rows``: rows replayed
        - ``span`` (ns): trace time from the first row to the last
        - ``elapsed`` (s): wall time of the replay, compilation left out
        - ``peak_rss`` (byte): peak resident memory of the process
        - ``seed``: run seed
        - ``created``: when the replay ended, UTC
        - ``environment``: Python, numpy, numba, polars, pyarrow and platform
        """
        return self.table("runs")

    @property
    def vm(self) -> pl.LazyFrame:
        """A VM's pages and cumulative counters over time.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``resident`` (page): guest pages mapped to machine memory, shared ones included
        - ``ballooned`` (page): guest pages held by the balloon driver
        - ``swapped`` (page): guest pages paged out by the host
        - ``target`` (page): pages that the VM should hold (its size where nobody sets targets)
        - ``accesses``: access rows so far
        - ``cold``: first touches so far
        - ``major``: page-ins by the host so far
        - ``minor``: faults without I/O so far
        - ``page_outs``: pages paged out by the host so far
        - ``double_paged``: pages read in by the host only for the guest to page them out, so far
        - ``guest_major``: page-ins by the guest itself so far
        - ``breaks``: copy-on-write breaks so far
        """
        return self.table("vm")

    @property
    def savings(self) -> pl.LazyFrame:
        """What sharing found, against what sharing everything would save at the same moment (paper section 4).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``pages`` (page): pages whose content the trace has told
        - ``shared`` (page): pages mapped to a machine page that at least one other page maps too
        - ``reclaimed`` (page): machine pages saved: shared less the distinct frames that hold them (a VM is charged for a frame
          if it maps it first by page order)
        - ``zero`` (page): pages of zeros
        - ``distinct`` (page): distinct contents (of a VM: those charged to it)
        - ``possible_shared`` (page): shared, if every two equal pages were shared
        - ``possible_reclaimed`` (page): reclaimed, if every two equal pages were shared
        - ``reclaimed_zero`` (page): the part of reclaimed that zero pages are
        - ``reclaimed_within`` (page): the part that equal pages of one VM are
        - ``reclaimed_between`` (page): the part that equal pages of different VMs are
        - ``possible_zero`` (page): the part of possible_reclaimed that zero pages are
        - ``possible_within`` (page): the part that equal pages of one VM are
        - ``possible_between`` (page): the part that equal pages of different VMs are
        - ``scanned`` (page): pages scanned so far
        - ``merged``: scans so far that have put a page on a shared frame
        - ``false_matches``: scans so far whose page was not shared because the table took another content for its own
        - ``breaks``: copy-on-write breaks so far: private copies made for a write or a change of content
        - ``overflow``: shared frames whose count exceeds 16 bits and lives in the overflow table
        - ``hints`` (page): frames listed as hints
        - ``stale_hints`` (page): hints whose page holds something else by now
        - ``table_bytes`` (byte): table of frames, 16 byte each: a VM's hints; the host's hints and shared frames
        """
        return self.table("savings")

    @property
    def discovery(self) -> pl.LazyFrame:
        """How long equal pages went unfound over the whole replay, and what finding them cost.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``found`` (page): contents of pages that were shared while an equal page was there
        - ``missed`` (page): contents of pages that ended unshared though an equal page had been there
        - ``mean`` (s): mean time from when two pages were equal until the page was shared
        - ``p10`` (s): time within which 10 % of them were shared, to within 19 %
        - ``p50`` (s): likewise 50 %
        - ``p90`` (s): likewise 90 %
        - ``p99`` (s): likewise 99 %
        - ``scanned`` (page): pages scanned
        - ``wasted`` (page): scans that neither shared their page nor made it a new hint
        - ``cpu`` (s): CPU time of the scans, at the stated cost of a page
        - ``cpu_per_gib`` (s/GiB): that CPU time for each GiB saved at the end
        """
        return self.table("discovery")

    @property
    def churn(self) -> pl.LazyFrame:
        """How long pages shared a frame, and why they ceased to: from report to report (replay.report), so that each time is exact
        to within one of these, and what was shared for less may not be seen at all.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``why``: content (the trace told a new one), write (broken, or taken out by madvise, and no new content), others
          (nobody else was left on the frame), paged out, ballooned, VM ended, or still: shared at the end
        - ``pages`` (page): pages that ceased to share for this reason, each time; or that still share
        - ``mean`` (s): how long they had shared, on average
        - ``p10`` (s): time that 10 % of them shared at most, to within 19 %
        - ``p50`` (s): likewise 50 %
        - ``p90`` (s): likewise 90 %
        - ``p99`` (s): likewise 99 %
        """
        return self.table("churn")

    @property
    def ksm(self) -> pl.LazyFrame:
        """KSM's counters under the kernel's names, after each full scan and at the end (admin-guide/mm/ksm).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``full_scans``: times that all mergeable pages have been scanned
        - ``pages_shared`` (page): merged pages: nodes of the stable tree
        - ``pages_sharing`` (page): further sites that map them: what is saved
        - ``pages_unshared`` (page): pages that are unique but repeatedly checked
        - ``pages_volatile`` (page): pages that change too fast to be placed in a tree, or are skipped
        - ``pages_scanned`` (page): visits so far
        - ``pages_skipped`` (page): visits that smart scan has saved so far
        - ``ksm_zero_pages`` (page): pages that map the kernel's zero page
        - ``stable_node_chains``: contents of which there are several merged pages, max_page_sharing being reached
        - ``stable_node_dups``: merged pages of such contents
        - ``general_profit`` (byte): pages_sharing and ksm_zero_pages less 64 byte for every page that ksmd keeps track of
        - ``pages_to_scan`` (page): pages that the next wake-up visits at most
        """
        return self.table("ksm")

    @property
    def storm(self) -> pl.LazyFrame:
        """A copy-on-write storm as it goes on: before the first write, and after each of a hundred portions.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``sharers`` (page): pages that shared a frame when it began
        - ``written`` (page): of these, written so far
        - ``breaks``: private copies made since it began: the frames that it needs
        - ``page_outs``: page-outs since it began
        - ``major``: page-ins since it began
        - ``saved`` (page): machine pages that sharing saves now
        - ``free`` (page): free machine pages now
        - ``state``: the host's state now; null without an allocation stage
        """
        return self.table("storm")

    @property
    def sampling(self) -> pl.LazyFrame:
        """One row a VM and sampling period: the truth beside the estimate (paper section 5.3).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``stage``: stage that samples
        - ``active`` (page): truth: distinct pages that the VM touched in the period
        - ``n`` (page): pages sampled
        - ``touched`` (page): sampled pages that were touched
        - ``estimate`` (page): what the host acts on: the largest of the slow, the fast and the running average
        - ``slow`` (page): slow moving average after the period
        - ``fast`` (page): fast moving average after the period
        - ``low`` (page): lower end of the period's own 95 % interval for `active` (Wilson, finite population)
        - ``high`` (page): upper end of that interval
        - ``error`` (page): standard error of P · touched / n at the truth, by its closed form: P · √(f(1−f)/n · (P−n)/(P−1))
        - ``device`` (page): pages that devices wrote in the period and the VM itself did not touch: unseen, and not part of
          `active`
        - ``ballooned`` (page): pages of the sample that the balloon held at the period's end: the guest cannot touch them
        - ``remapped`` (page): pages of the sample that lie elsewhere at the period's end than at its start: paged out, shared,
          or moved
        - ``length`` (ns): wall time that the period took
        """
        return self.table("sampling")

    @property
    def allocation(self) -> pl.LazyFrame:
        """Who holds how much, and what the host wants them to hold (paper sections 5 and 6).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``min`` (page): guaranteed pages
        - ``max`` (page): the VM's configured size
        - ``shares``: shares
        - ``target`` (page): pages the VM should hold
        - ``resident`` (page): guest pages mapped to machine memory
        - ``ballooned`` (page): guest pages held by the balloon driver
        - ``swapped`` (page): guest pages paged out by the host
        - ``active`` (page): estimate of the pages in use, as of this moment
        - ``entitled`` (page): pages that its shares alone entitle it to, between min and max, of what the VMs present can have
          without sharing
        - ``blocked`` (ns): time so far that it would have been stopped: above its target in the state low
        - ``ignored``: rows of it so far that came while it was not on the host
        - ``price`` (share/page): shares per page, idle pages taxed: ρ = S / (P (f + k (1 − f)))
        - ``state``: the host's worst state since the row before: high, soft, hard or low
        """
        return self.table("allocation")

    @property
    def host(self) -> pl.LazyFrame:
        """The host over time: its state, and where machine memory is (paper section 6); memory = overhead + used + held + free.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``why``: report, or what has happened: state, arrival, refused, departure, shares; vm is then the VM, or * (state)
        - ``note``: why a VM was refused, with the arithmetic; else empty
        - ``state``: high, soft, hard or low (or clear), as of this moment
        - ``vms``: VMs on the host
        - ``memory`` (page): machine memory
        - ``overhead`` (page): what the VMs on the host cost beyond their pages
        - ``used`` (page): machine pages that guest pages are mapped to
        - ``held`` (page): machine pages that hold compressed pages
        - ``free`` (page): machine pages that are free
        - ``resident`` (page): guest pages mapped to machine pages
        - ``shared`` (page): of those, the ones whose machine page others map as well
        - ``saved`` (page): machine pages that sharing saves: resident − used
        - ``ballooned`` (page): guest pages held by balloons
        - ``swapped`` (page): guest pages paged out by the host
        - ``min`` (page): Σ of the guaranteed pages
        - ``target`` (page): Σ of the pages that VMs should hold: more than the machine has, where pages are shared
        """
        return self.table("host")

    @property
    def estimators(self) -> pl.LazyFrame:
        """Estimators of the working set beside the truth and their cost, over time from the first whole window on.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``estimator``: label of the estimator's stage, or its module's name
        - ``window`` (ns): window of the working set: the pages used within it before
        - ``truth`` (page): distinct pages that the VM used within the window before
        - ``estimate`` (page): pages in use as the estimator believes at this moment; null while it knows nothing
        - ``faults``: page faults that the VM has taken so far because it is watched
        - ``scans``: pages whose mapping or accessed bit the estimator has looked at or changed so far
        """
        return self.table("estimators")

    @property
    def estimator_summary(self) -> pl.LazyFrame:
        """How far estimators were from the truth over the whole replay, how late, and at which cost.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``estimator``: label of the estimator's stage, or its module's name
        - ``window`` (ns): window of the working set: the pages used within it before
        - ``moments``: rows of table estimators with an estimate
        - ``truth`` (page): mean of the truth
        - ``estimate`` (page): mean of the estimate
        - ``bias`` (page): mean of estimate − truth
        - ``error`` (page): mean of its amount
        - ``rms`` (page): square root of the mean of its square
        - ``lag`` (ns): by how much the truth has to be shifted to later for the least mean error, over the later half of the
          moments; null if the truth never changes
        - ``error_at_lag`` (page): that least mean error
        - ``faults``: page faults that the VM has taken so far because it is watched
        - ``scans``: pages whose mapping or accessed bit the estimator has looked at or changed so far
        """
        return self.table("estimator_summary")

    @property
    def estimator_ages(self) -> pl.LazyFrame:
        """Histograms of page ages at each scan of kstaled (Lagar-Cavilla et al. 2019); ages without pages are left out.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``estimator``: label of the estimator's stage, or its module's name
        - ``age``: scans since the page was last touched; 0: since the scan before; 255: that many or more, or never
        - ``pages`` (page): pages of this age: the cold-age histogram
        - ``promoted`` (page): pages found touched that had this age before: the promotion histogram
        """
        return self.table("estimator_ages")

    @property
    def damon(self) -> pl.LazyFrame:
        """DAMON's regions, whenever its estimate is told.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``estimator``: label of the estimator's stage, or its module's name
        - ``regions``: regions now
        - ``least``: fewest since the row before (once merged)
        - ``most``: most since the row before (once split)
        - ``age``: aggregations for which a page's region has not changed, on average over the VM's pages
        """
        return self.table("damon")

    @property
    def copies(self) -> pl.LazyFrame:
        """Bounce-buffer copies by VM, device and phase over the whole replay (paper section 7).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``device``: device
        - ``phase``: marks of the VM before: 0 up to its first mark
        - ``transfers``: rows of transfers, one a page
        - ``bytes`` (byte): bytes moved by the device
        - ``bounced``: rows copied through a bounce buffer
        - ``copied_in_bytes`` (byte): bytes copied into bounce buffers, before the device reads them
        - ``copied_out_bytes`` (byte): bytes copied out of bounce buffers, after the device wrote them
        - ``copied_bytes`` (byte): bytes copied: once a transfer, twice where it goes both ways; forced ones included
        - ``forced``: the part of bounced that was forced
        - ``forced_bytes`` (byte): the part of copied_bytes that was forced, which no remapping can save
        - ``remapped`` (page): pages moved into the device's reach
        - ``evicted`` (page): pages moved home to make room for those
        - ``again`` (page): the part of remapped that had been moved before
        - ``baseline``: what bouncing alone would have bounced
        - ``baseline_bytes`` (byte): what bouncing alone would have copied
        - ``unknown``: rows whose page the trace does not tell; they are never taken to bounce unless forced
        - ``unknown_bytes`` (byte): bytes that these move
        - ``segments``: adjacent pages of one transfer that bounced together
        - ``exhausted``: segments that found no room in the pool; their copies are counted all the same
        - ``exhausted_bytes`` (byte): bytes of these
        - ``mappings``: rows of one moment and direction taken together: what an IOMMU maps and unmaps
        - ``cost`` (ns): time of bouncing, copying and moving, or of an IOMMU's mappings, at the costs given
        """
        return self.table("copies")

    @property
    def remaps(self) -> pl.LazyFrame:
        """Remapping over time by VM: everything so far.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``remapped`` (page): pages moved into a device's reach so far
        - ``evicted`` (page): pages moved home for others so far
        - ``again`` (page): the part of remapped that had been moved before
        - ``low`` (page): pages that lie where remapping put them
        - ``copied_bytes`` (byte): bytes copied so far, forced ones included
        - ``saved_bytes`` (byte): bytes that bouncing alone would have copied so far beyond these
        """
        return self.table("remaps")

    @property
    def swiotlb(self) -> pl.LazyFrame:
        """The host's pool of bounce buffers over time.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``slots``: slots of 2 KiB
        - ``used``: slots in use
        - ``peak``: most slots in use at a time so far
        - ``segments``: segments that asked for room so far
        - ``exhausted``: those that found none
        - ``fragmented``: the part of exhausted for which there were slots enough, but not side by side
        """
        return self.table("swiotlb")

    @property
    def concentration(self) -> pl.LazyFrame:
        """How concentrated the bytes are that bouncing alone would copy: the pages with most, by VM, device and phase.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``device``: device
        - ``phase``: marks of the VM before: 0 up to its first mark
        - ``forced``: forced transfers, or those that bounce because of where their page lies
        - ``top`` (page): pages with the most bytes: 1, 2, 4, … and all
        - ``top_bytes`` (byte): bytes copied for these
        - ``pages`` (page): pages that bounce
        - ``bytes`` (byte): bytes copied for all of them
        """
        return self.table("concentration")

    @property
    def tiers(self) -> pl.LazyFrame:
        """Which tier serves a VM's accesses, and what moves: everything so far.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``near``: accesses served by near memory
        - ``far``: accesses served by far memory
        - ``promoted`` (page): pages moved from far to near memory
        - ``demoted`` (page): pages moved from near to far memory
        - ``faults``: hint faults
        - ``samples``: accesses that the processor's sampling told
        - ``near_pages`` (page): pages that lie in near memory now
        - ``far_pages`` (page): pages that lie in far memory now
        - ``migrated_bytes`` (byte): bytes copied from tier to tier
        - ``amat`` (ns): average latency of an access, moves and faults left out
        - ``amat_moved`` (ns): the same with moves and faults charged, a row weighing tier.weight accesses
        - ``cost`` (ns): time of all accesses, moves (all charged, though some run beside the VM) and hint faults
        """
        return self.table("tiers")

    @property
    def faults(self) -> pl.LazyFrame:
        """Faults over the whole replay by VM.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``accesses``: access rows
        - ``cold``: first touches of a page
        - ``major``: touches of a page that the host had paged out: page-ins; cold + major = misses
        - ``minor``: faults without I/O: a private copy made, a page handed back by the balloon
        - ``double_paged``: pages that the host had to read in only for the guest to write them out to its own swap
        - ``page_outs``: pages paged out by the host
        - ``shared_out``: pages shared instead of being paged out
        - ``guest_major``: touches of a page that the guest itself had given up behind the balloon: its page-ins
        - ``guest_page_outs``: dirty pages written to its own swap by the guest behind the balloon
        - ``mean_resident`` (page): guest pages resident, on average over the accesses of the VM's pool (its virtual time): the
          space that a policy took for its misses; null without accesses
        """
        return self.table("faults")

    @property
    def balloon(self) -> pl.LazyFrame:
        """The guests behind their balloons over time, with cumulative counters (paper section 3.2).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``target`` (page): pages that the guest is asked to keep, as far as the balloon's cap allows
        - ``ballooned`` (page): guest pages held by the balloon driver (without a hypervisor: that the machine does not have)
        - ``in_use`` (page): pages in use by the guest, without those that its kernel keeps
        - ``kernel`` (page): pages that its kernel keeps and never gives up
        - ``swap_used`` (page): slots of the guest's own swap that hold a page
        - ``guest_major``: touches of a page that the guest had given up so far: its page-ins
        - ``guest_page_outs``: dirty pages that the guest wrote to its own swap so far
        - ``dropped``: clean pages that the guest gave up without a write so far
        - ``double_paged``: of guest_page_outs, those that the host had to read in only for the guest to write them out
        - ``dropped_swapped``: of dropped, those that the host had paged out for nothing
        - ``yielded``: pages that the balloon or the kernel gave back because the guest could not give up another (its swap was
          full)
        - ``pops``: balloons that popped: a rebooted guest used a page that its driver no longer held
        - ``zeroed``: free pages zeroed by the guest's zero-page thread so far
        - ``hinted``: pages freed on the guest's own hint so far
        """
        return self.table("balloon")

    @property
    def swap(self) -> pl.LazyFrame:
        """Where the pages are that the host has paged out, and what came from where, by VM over time; times by the stage's stated
        costs.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``zero`` (page): pages of zeros that are paged out: they take no memory
        - ``compressed`` (page): pages in the compressed pool
        - ``remote`` (page): pages in remote memory
        - ``disk`` (page): pages on disk
        - ``pool`` (page): machine pages that the compressed pool holds (of the host, not of a VM)
        - ``compressed_bytes`` (byte): what the pages in the pool were compressed to
        - ``ratio``: bytes of the pages in the pool over compressed_bytes
        - ``to_zero``: page-outs of pages of zeros so far
        - ``to_compressed``: page-outs to the pool so far
        - ``to_remote``: page-outs to remote memory so far, what the pool wrote back left out
        - ``to_disk``: page-outs to disk so far, what the pool wrote back left out
        - ``from_zero``: page-ins of pages of zeros so far
        - ``from_compressed``: page-ins from the pool so far
        - ``from_remote``: page-ins from remote memory so far
        - ``from_disk``: page-ins from disk so far
        - ``incompressible``: page-outs that the pool refused because the page is too large compressed, so far
        - ``full``: page-outs that the pool refused because it was at its limit, so far
        - ``written_back``: pages that the pool wrote back to the next tier so far
        - ``unknown``: page-outs to the pool with a size drawn without the page's content being known, so far
        - ``over``: pages put on disk beyond host.swap so far
        - ``waited``: page-outs that a fault of the VM waited for, so far; all others were ahead of need
        - ``load_ns`` (ns): time of all page-ins so far
        - ``wait_ns`` (ns): time of all page-outs so far that a fault of the VM waited for
        - ``access_ns`` (ns): mean time of an access row so far: local memory, and its part of the above
        """
        return self.table("swap")

    @property
    def working_set_curve(self) -> pl.LazyFrame:
        """The mean size of the working set and its misses for all windows, and the reuse times behind them (Denning & Schwartz
        1972).

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``window`` (ns): window τ: the working set is the pages used within τ before
        - ``size`` (page): mean size of the working set over the replay; null if no time passes in it
        - ``misses``: accesses whose page was not used within the window before, first uses among them
        - ``miss_ratio``: misses ÷ accesses; null for a VM without accesses
        - ``reuses``: accesses with a reuse time (since the page's last use) above the row before's window and at most this one
        """
        return self.table("working_set_curve")

    @property
    def working_set(self) -> pl.LazyFrame:
        """Sizes of the working sets over time, from the first whole window on.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``window`` (ns): window τ: the working set is the pages used within τ before
        - ``pages`` (page): pages used from t − window to before t; of *: the sum over the VMs
        """
        return self.table("working_set")

    @property
    def working_set_summary(self) -> pl.LazyFrame:
        """What the sizes over time come to; * is all VMs at the same moments.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``window`` (ns): window τ: the working set is the pages used within τ before
        - ``samples``: moments that sizes were taken at
        - ``mean`` (page): mean size
        - ``p5`` (page): 5 % of the sizes are at most this
        - ``p25`` (page): 25 % of the sizes are at most this
        - ``p50`` (page): 50 % of the sizes are at most this
        - ``p75`` (page): 75 % of the sizes are at most this
        - ``p95`` (page): 95 % of the sizes are at most this
        - ``p99`` (page): 99 % of the sizes are at most this
        - ``peak`` (page): largest size; of *: the peak of the sums
        - ``peak_t`` (ns): when that was, the first time
        - ``sum_of_peaks`` (page): of *: the VMs' own peaks added up; else peak
        """
        return self.table("working_set_summary")

    @property
    def working_set_pairs(self) -> pl.LazyFrame:
        """Whether the working sets of two VMs grow and shrink together.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): trace time of the row
        - ``vm``: virtual machine; * is the host as a whole
        - ``other``: the other virtual machine
        - ``window`` (ns): window τ: the working set is the pages used within τ before
        - ``correlation``: Pearson's, of the sizes over time; null where one never changes
        """
        return self.table("working_set_pairs")

    @property
    def heat(self) -> pl.LazyFrame:
        """A heat map: one row a VM, period of time and band of addresses in which there were accesses.

        - ``variant``: digest of the variant's resolved parameters; see table variants
        - ``trace``: name of the capture, or of the captures joined by + under --together
        - ``t`` (ns): when the period begins
        - ``vm``: virtual machine; * is the host as a whole
        - ``length`` (ns): length of the period (the last one may be cut short)
        - ``ppn`` (page): first page number of the band
        - ``pages`` (page): pages of the band (the last one of a VM may be cut short)
        - ``accesses``: access rows
        - ``used`` (page): distinct pages used
        """
        return self.table("heat")
