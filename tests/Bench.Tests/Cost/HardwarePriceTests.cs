using LlamaServe.Bench.Cost;

namespace LlamaServe.Bench.Tests.Cost;

internal sealed class HardwarePriceTests
{
    [Test]
    public void The_table_that_comes_along_names_tier_date_and_source()
    {
        HardwarePrice price = HardwarePrice.Find(HardwarePrice.DefaultPath, "h200", "Neocloud");

        Assert.That((price.DollarsPerHour, price.Kilowatts), Is.EqualTo((1.74, 1.73)));
        Assert.That(price.Date, Is.EqualTo(new DateOnly(2026, 8, 21)));
        Assert.That(price.Source, Is.Not.Empty);
    }

    [Test]
    public void A_processor_has_a_price_too() =>
        Assert.That(HardwarePrice.Find(HardwarePrice.DefaultPath, "c7a.4xlarge", "on-demand").DollarsPerHour, Is.EqualTo(0.82112));

    [Test]
    public void Power_makes_joules_of_tokens()
    {
        HardwarePrice price = HardwarePrice.Find(HardwarePrice.DefaultPath, "H200", "neocloud");

        // 1730 J/s.
        Assert.That(price.JoulesPerToken(100), Is.EqualTo(17.3).Within(1e-9));
        Assert.That((price with { Kilowatts = null }).JoulesPerToken(100), Is.Null);
    }

    [Test]
    public void A_price_that_is_not_there_lists_those_that_are() =>
        Assert.That(
            () => HardwarePrice.Find(HardwarePrice.DefaultPath, "H300", "neocloud"), Throws.ArgumentException.With.Message.Contains("H200, neocloud"));

    [TestCase("no JSON")]
    [TestCase("""[{"hardware": "X"}]""")]
    [TestCase("""[{"hardware": "X", "tier": "t", "dollars_per_hour": 0, "kilowatts": 1, "date": "2026-11-24", "source": "s"}]""")]
    [TestCase("""[{"hardware": "X", "tier": "t", "dollars_per_hour": 1, "kilowatts": 1, "date": "in November", "source": "s"}]""")]
    public void A_damaged_table_is_refused(string content)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, content);
            Assert.That(() => HardwarePrice.Find(path, "X", "t"), Throws.ArgumentException.With.Message.Contains(Path.GetFileName(path)));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
