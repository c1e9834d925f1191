namespace LlamaServe.Kernels.Tests;

public sealed class ForwardBatchTests
{
    [Test]
    public void A_trees_tokens_have_slots_in_order_and_positions_by_depth()
    {
        ForwardBatch batch = new(16, 2, 4);
        batch.AddTree([1, 2, 3, 4, 5, 6], DraftTree.Of(-1, 0, -1, 2), 14, [3, 1], 16, 1);
        Assert.That(batch.Positions.ToArray(), Is.EqualTo(new[] { 14, 15, 16, 17, 16, 17 }));
        Assert.That(batch.SlotMapping.ToArray(), Is.EqualTo(new[] { 62, 63, 16, 17, 18, 19 }));
        Assert.That(batch.Ancestors.ToArray(), Is.EqualTo(new ulong[] { 0, 0, 1, 3, 4, 12 }));
        Assert.That(batch.TreeTokens.ToArray(), Is.EqualTo(new[] { 4 }));
        Assert.That(batch.LogitsRows.ToArray(), Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
        Assert.That(batch.ContextLengths[0], Is.EqualTo(20));
    }

    [Test]
    public void A_chain_is_no_tree()
    {
        ForwardBatch batch = new(16, 2, 4);
        batch.AddTree([1, 2, 3], DraftTree.Of(-1, 0), 5, [3], 16, 0);
        Assert.That(batch.HasTrees, Is.False);
        Assert.That(batch.Positions.ToArray(), Is.EqualTo(new[] { 5, 6, 7 }));
    }

    [Test]
    public void Nothing_of_a_tree_stays_in_the_batch()
    {
        ForwardBatch batch = new(16, 2, 4);
        batch.AddTree([1, 2, 3], DraftTree.Of(-1, -1), 5, [3], 16, 0);
        Assert.That(batch.HasTrees, Is.True);
        batch.Clear();
        batch.Add([1, 2, 3], 5, [3], 16, 0);
        Assert.That(batch.HasTrees, Is.False);
        Assert.That(batch.TreeTokens.ToArray(), Is.EqualTo(new[] { 0 }));
        Assert.That(batch.Ancestors.ToArray(), Is.All.Zero);
    }

    [TestCase(new ulong[] { 1, 1 })]
    [TestCase(new ulong[] { 1, 2, 7 })]
    [TestCase(new ulong[] { 3, 2 })]
    [TestCase(new ulong[] { 1, 2, 4, 8 })]
    public void Bits_of_no_tree_are_refused(ulong[] ancestors)
    {
        ForwardBatch batch = new(16, 2, 4);
        Assert.That(() => batch.AddTree([1, 2, 3], ancestors, 0, [0], 16, 0), Throws.ArgumentException.With.Message.Contains("tree"));
        Assert.That(batch.SequenceCount, Is.Zero);
    }
}
