using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Scheduling;

/// <summary>Who gets blocks first: priority, fairness among tenants, arrival, and that nobody waits for ever.</summary>
public class WaitingQueueTests
{
    [Test]
    public void Higher_priority_runs_first_then_earlier_arrival()
    {
        var harness = new SchedulerHarness(maxSequences: 1);
        Sequence[] added =
        [
            harness.Add(SchedulerHarness.Prompt(5), 3), harness.Add(SchedulerHarness.Prompt(5), 3),
            harness.Add(SchedulerHarness.Prompt(5), 3, priority: 2), harness.Add(SchedulerHarness.Prompt(5), 3, priority: -1),
            harness.Add(SchedulerHarness.Prompt(5), 3, priority: 2),
        ];
        harness.Drain();
        Assert.That(harness.Finished, Is.EqualTo(new[] { added[2], added[4], added[0], added[1], added[3] }));
    }

    [Test]
    public void A_tenant_with_a_long_queue_does_not_hold_up_the_others()
    {
        var harness = new SchedulerHarness(maxSequences: 1);
        for (int i = 0; i < 50; i++)
        {
            harness.Add(SchedulerHarness.Prompt(8, i), 4, tenant: "greedy");
        }
        for (int i = 0; i < 5; i++)
        {
            harness.Add(SchedulerHarness.Prompt(8, 100 + i), 4, tenant: "modest");
        }
        harness.Drain();
        int last = harness.Finished.FindLastIndex(s => s.Spec.Tenant == "modest");
        Assert.That(last, Is.LessThanOrEqualTo(10), "they take turns");
    }

    [Test]
    public void Turns_are_measured_in_tokens_not_in_requests()
    {
        var harness = new SchedulerHarness(blocks: 200, maxSequences: 1);
        for (int i = 0; i < 60; i++)
        {
            harness.Add(SchedulerHarness.Prompt(40, i), 10, tenant: "long");
            harness.Add(SchedulerHarness.Prompt(4, i + 100), 3, tenant: "short");
        }
        var served = new Dictionary<string, int> { ["long"] = 0, ["short"] = 0 };
        for (int i = 0; i < 200; i++)
        {
            harness.Step();
        }
        foreach (Sequence sequence in harness.Finished)
        {
            served[sequence.Spec.Tenant] += sequence.PromptLength + TenantAccount.OutputWeight * sequence.OutputCount;
        }
        Assert.That(served["short"], Is.EqualTo(served["long"]).Within(70), "one long request apart at most");
    }

    [Test]
    public void A_tenant_that_was_away_has_no_credit()
    {
        var harness = new SchedulerHarness(maxSequences: 1);
        for (int i = 0; i < 30; i++)
        {
            harness.Add(SchedulerHarness.Prompt(8, i), 4, tenant: "steady");
        }
        for (int i = 0; i < 60; i++)
        {
            harness.Step();
        }
        int before = harness.Finished.Count;
        for (int i = 0; i < 20; i++)
        {
            harness.Add(SchedulerHarness.Prompt(8, 100 + i), 4, tenant: "late");
        }
        harness.Drain();
        string[] order = [.. harness.Finished.Skip(before).Take(10).Select(s => s.Spec.Tenant)];
        Assert.That(order.Count(t => t == "steady"), Is.InRange(4, 6));
    }

    [Test]
    public void A_low_priority_is_served_now_and_then_however_many_high_ones_come()
    {
        var harness = new SchedulerHarness(maxSequences: 1, agingInterval: 10);
        Sequence low = harness.Add(SchedulerHarness.Prompt(5), 2);
        for (int i = 0; i < 200 && !harness.Finished.Contains(low); i++)
        {
            harness.Add(SchedulerHarness.Prompt(5, i), 2, priority: 3);
            harness.Step();
        }
        Assert.That(harness.Finished, Does.Contain(low));
        Assert.That(harness.Now, Is.InRange(30, 60), "three levels of ten each, and the turn of the one that ran");
    }

    [Test]
    public void What_has_waited_is_not_preempted_by_what_it_outwaited()
    {
        var harness = new SchedulerHarness(blocks: 4, maxSequences: 2, agingInterval: 5);
        Sequence low = harness.Add(SchedulerHarness.Prompt(10), 6);
        Sequence high = harness.Add(SchedulerHarness.Prompt(10, 2), 6, priority: 1);
        harness.Now += 20;
        harness.Step();
        Assert.That(low.Status, Is.EqualTo(SequenceStatus.Waiting));
        while (!harness.Finished.Contains(high))
        {
            harness.Step();
        }
        harness.Step();
        Sequence newer = harness.Add(SchedulerHarness.Prompt(10, 3), 6, priority: 1);
        harness.Drain();
        Assert.That(harness.Finished, Is.EqualTo(new[] { high, low, newer }));
        Assert.That(low.Preemptions, Is.Zero);
    }
}
