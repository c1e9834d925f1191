using LlamaServe.Engine.KvCache;

namespace LlamaServe.Engine.Tests.KvCache;

public class BlockPoolTests
{
    [Test]
    public void Gives_each_block_once()
    {
        var pool = new BlockPool(4);
        Assert.That(new[] { pool.Take(), pool.Take(), pool.Take(), pool.Take() }, Is.Unique);
        Assert.That(pool.FreeCount, Is.Zero);
        Assert.Throws<InvalidOperationException>(() => pool.Take());
    }

    [Test]
    public void Reuses_worthless_blocks_first_and_kept_ones_in_order_of_release()
    {
        var pool = new BlockPool(4);
        int[] taken = [pool.Take(), pool.Take(), pool.Take(), pool.Take()];
        pool.Release(taken[2], keep: true);
        pool.Release(taken[0], keep: true);
        pool.Release(taken[3], keep: false);
        Assert.That(new[] { pool.Take(), pool.Take(), pool.Take() }, Is.EqualTo(new[] { taken[3], taken[2], taken[0] }));
    }

    [Test]
    public void A_shared_block_is_free_after_its_last_holder()
    {
        var pool = new BlockPool(1);
        int block = pool.Take();
        pool.Share(block);
        pool.Release(block, keep: true);
        Assert.That(pool.FreeCount, Is.Zero);
        pool.Release(block, keep: true);
        Assert.That(pool.FreeCount, Is.EqualTo(1));
        pool.Share(block);
        Assert.That(pool.FreeCount, Is.Zero);
    }

    [Test]
    public void A_release_too_many_is_refused()
    {
        var pool = new BlockPool(2);
        pool.Release(pool.Take(), keep: false);
        Assert.Throws<InvalidOperationException>(() => pool.Release(0, keep: false));
    }

    [Test]
    public void Integrity_check_finds_a_leak()
    {
        var pool = new BlockPool(3);
        int block = pool.Take();
        int[] expected = new int[3];
        Assert.Throws<InvalidOperationException>(() => pool.CheckIntegrity(expected));
        expected[block] = 1;
        Assert.DoesNotThrow(() => pool.CheckIntegrity(expected));
    }

    [Test]
    public void A_random_walk_keeps_its_integrity()
    {
        var random = new Random(7);
        var pool = new BlockPool(37);
        int[] references = new int[37];
        for (int step = 0; step < 20_000; step++)
        {
            int block = random.Next(37);
            switch (random.Next(3))
            {
                case 0 when pool.FreeCount > 0:
                    references[pool.Take()]++;
                    break;
                case 1:
                    pool.Share(block);
                    references[block]++;
                    break;
                case 2 when references[block] > 0:
                    pool.Release(block, keep: random.Next(2) == 0);
                    references[block]--;
                    break;
            }
            pool.CheckIntegrity(references);
        }
    }
}
